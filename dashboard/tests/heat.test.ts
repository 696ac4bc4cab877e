import { describe, expect, it } from "vitest";
import type { VpiPoint } from "../src/api/types";
import { heat } from "../src/views/brand/heat";

const point = (
  at: string,
  hour: number,
  value: number | null,
  changes: Partial<VpiPoint> = {},
): VpiPoint => ({
  at,
  hour,
  impressions: 100,
  value_per_impression: value,
  revenue: String((value ?? 0) * 100),
  cost: "1",
  currency: "USD",
  ...changes,
});

describe("the heat map", () => {
  it("puts each hour where the brand's own clock has it", () => {
    const { rows, cells } = heat([point("2026-11-20T23:00:00-05:00", 23, 0.0078)], "USD", 14);
    expect(rows).toEqual(["2026-11-20"]);
    expect(cells).toEqual([
      {
        column: 23,
        row: 0,
        value: 0.0078,
        words: "Fri 20 Nov, 23 to 00 h · 0.0078 USD per impression · 100 impressions",
      },
    ]);
  });

  it("adds the hour that comes twice where clocks go back", () => {
    const { cells } = heat(
      [
        point("2026-10-25T02:00:00+02:00", 2, 0.01),
        point("2026-10-25T02:00:00+01:00", 2, 0.03, { impressions: 300, revenue: "9" }),
      ],
      "USD",
      14,
    );
    expect(cells).toHaveLength(1);
    expect(cells[0]?.value).toBeCloseTo(10 / 400);
  });

  it("keeps the latest days, the brand's currency alone, and empty hours empty", () => {
    const { rows, cells } = heat(
      [
        point("2026-11-18T09:00:00+00:00", 9, 0.5),
        point("2026-11-19T09:00:00+00:00", 9, 0.1),
        point("2026-11-20T09:00:00+00:00", 9, null, { impressions: 0 }),
        point("2026-11-20T10:00:00+00:00", 10, 0.9, { currency: "EUR" }),
      ],
      "USD",
      2,
    );
    expect(rows).toEqual(["2026-11-19", "2026-11-20"]);
    expect(cells.map((cell) => [cell.row, cell.value])).toEqual([
      [0, 0.1],
      [1, null],
    ]);
    expect(cells[1]?.words).toContain("no impressions");
  });
});
