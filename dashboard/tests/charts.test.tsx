import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { describe, expect, it } from "vitest";
import { Bullet } from "../src/charts/Bullet";
import { HeatMap } from "../src/charts/HeatMap";
import { LineChart } from "../src/charts/LineChart";
import { ScoreBar } from "../src/charts/ScoreBar";
import { SpendBar } from "../src/charts/SpendBar";
import { Terms } from "../src/charts/Terms";

const at = (element: Element | null, name: string): number => Number(element?.getAttribute(name));

describe("ROAS against target", () => {
  it("has its tick in the middle, whatever the target", () => {
    for (const target of [0.5, 2, 40]) {
      const { container } = render(
        <Bullet current={target} low={null} high={null} target={target} below={null} />,
      );
      expect(at(container.querySelector(".target"), "x1")).toBe(55);
      expect(at(container.querySelector(".now"), "cx")).toBe(55);
    }
  });

  it("shows no dot where nothing is known", () => {
    const { container } = render(<Bullet current={null} low={null} high={null} target={2} below={null} />);
    expect(container.querySelector(".now")).toBeNull();
  });

  it("stays inside its box when ROAS is far above", () => {
    const { container } = render(<Bullet current={90} low={80} high={100} target={2} below={0} />);
    expect(at(container.querySelector(".now"), "cx")).toBe(107);
  });
});

describe("the colour of ROAS", () => {
  it.each([
    [0.95, "bad"],
    [0.9, "bad"],
    [0.5, "none"],
    [0.1, "good"],
    [null, "none"],
  ])("with a chance of %s to be below target is %s", (below, tone) => {
    const { container } = render(<Bullet current={1.9} low={1} high={3} target={2} below={below} />);
    expect(container.querySelector(".now")?.classList.contains(tone)).toBe(true);
    expect(container.querySelector(".range")?.classList.contains(tone)).toBe(true);
  });
});

describe("spend against budget", () => {
  it("fills to scale, with an overrun as well", () => {
    const bar = (spent: number) =>
      render(<SpendBar spent={spent} reserved={0} budget={100} expected={50} tone="good" />).container;
    expect(at(bar(25).querySelector(".spent"), "width")).toBe(30);
    expect(at(bar(200).querySelector(".spent"), "width")).toBe(120);
    expect(at(bar(200).querySelector(".room"), "width")).toBe(60);
  });
});

describe("a score's parts", () => {
  it("leave the score after λ·cost is taken", () => {
    const { container } = render(<ScoreBar revenue={0.1} price={0.04} most={0.1} />);
    expect(at(container.querySelector(".kept"), "width")).toBeCloseTo(90);
    expect(at(container.querySelector(".priced"), "width")).toBeCloseTo(60);
  });

  it("leave nothing when cost outweighs revenue", () => {
    const { container } = render(<ScoreBar revenue={0.05} price={0.08} most={0.1} />);
    expect(container.querySelector(".kept")).toBeNull();
    expect(container.querySelector(".over")).not.toBeNull();
  });
});

it("terms point left for less and right for more, as factors", () => {
  const { container } = render(
    <Terms
      terms={[
        { name: "hour", value: Math.log(2) },
        { name: "device", value: -Math.log(2) },
      ]}
    />,
  );
  const [more, less] = container.querySelectorAll("rect");
  expect(at(more ?? null, "x")).toBe(80);
  expect(at(less ?? null, "x")).toBe(1);
  expect([...container.querySelectorAll(".factor")].map((one) => one.textContent)).toEqual([
    "× 2.00",
    "× 0.50",
  ]);
});

describe("a line chart", () => {
  const chart = (
    <LineChart
      label="ROAS of 3 days"
      x={[0, 1, 2]}
      xWords={(place) => `day ${place}`}
      xTick={(place) => String(place)}
      series={[{ name: "ROAS", values: [1.5, null, 2.5], tone: "one" }]}
      rules={[{ value: 2, name: "target" }]}
      bands={[{ from: 1.5, to: 2, name: "not final" }]}
      y={(value) => value.toFixed(2)}
      yTick={String}
      rest="Target 2.00"
    />
  );

  it("is read with the arrow keys, from its last known point", async () => {
    const user = userEvent.setup();
    render(chart);
    const readout = screen.getByRole("status");
    expect(readout).toHaveProperty("textContent", "Target 2.00");
    await user.tab();
    await user.keyboard("{ArrowRight}");
    expect(readout.textContent).toBe("day 2 · ROAS 2.50");
    await user.keyboard("{ArrowLeft}");
    expect(readout.textContent).toBe("day 1 · nothing known");
    await user.keyboard("{Home}{ArrowLeft}");
    expect(readout.textContent).toBe("day 0 · ROAS 1.50");
    await user.keyboard("{Escape}");
    expect(readout.textContent).toBe("Target 2.00");
  });

  it("doesn't join what it doesn't know", () => {
    const { container } = render(chart);
    expect(container.querySelector("path.line")?.getAttribute("d")?.match(/M/g)).toHaveLength(2);
    expect(container.querySelectorAll(".band")).toHaveLength(1);
    expect(container.querySelectorAll(".rule")).toHaveLength(1);
  });
});

it("a heat map has a cell where there is a value, and says what it is", async () => {
  const user = userEvent.setup();
  const { container } = render(
    <HeatMap
      label="Value per impression"
      columns={["00", "01"]}
      rows={["Thu", "Fri"]}
      cells={[
        { column: 0, row: 0, value: 0.1, words: "Thu 00: 0.1" },
        { column: 1, row: 1, value: 0.9, words: "Fri 01: 0.9" },
        { column: 0, row: 1, value: null, words: "Fri 00: no impressions" },
      ]}
      words={(column, row) => `${column},${row}: nothing`}
      rest="rest"
    />,
  );
  expect(container.querySelectorAll("[data-cell]")).toHaveLength(3);
  expect(container.querySelector('[data-cell="0,0"]')?.getAttribute("class")).toBe("shade s1");
  expect(container.querySelector('[data-cell="1,1"]')?.getAttribute("class")).toBe("shade s8");
  expect(container.querySelector('[data-cell="0,1"]')?.getAttribute("class")).toBe("none");
  await user.tab();
  await user.keyboard("{ArrowRight}");
  expect(screen.getByRole("status").textContent).toBe("Fri 01: 0.9");
  await user.keyboard("{ArrowUp}");
  expect(screen.getByRole("status").textContent).toBe("1,0: nothing");
});
