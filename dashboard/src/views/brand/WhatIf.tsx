/** What other ROAS targets would have spent and brought: the last days played again. */
import { useQuery } from "@tanstack/react-query";
import { call } from "../../api/client";
import type { Simulation } from "../../api/types";
import { LineChart } from "../../charts/LineChart";
import { compact, decimal, money, number, percent, shortDay } from "../../format";
import { Figure, Key } from "../../pieces/Figure";
import { Empty, Reading } from "../../pieces/Reading";

const DAYS = 14;
const TITLE = "What another target would do";

interface Props {
  brandId: string;
  /** The present one: with another, the days are played again. */
  target: number;
}

export function WhatIf({ brandId, target }: Props) {
  const reading = useQuery({
    queryKey: ["simulation", brandId, target],
    queryFn: async ({ signal }) => {
      const body = { brand_id: brandId, days: DAYS };
      return (await call("post", "/api/simulate", { body, signal })).data;
    },
    staleTime: 10 * 60_000, // it plays two weeks again, which takes a while and changes slowly
  });
  return (
    <Reading query={reading} what="what-if curve" title={TITLE}>
      {(data) => <Curve simulation={data} />}
    </Reading>
  );
}

function Curve({ simulation }: { simulation: Simulation }) {
  const { curve, current, currency } = simulation;
  if (curve.length === 0) {
    return (
      <Figure title={TITLE}>
        <Empty>
          <p>{simulation.confidence}</p>
        </Empty>
      </Figure>
    );
  }
  const x = curve.map((one) => one.target);
  const beyond = spans(curve);
  return (
    <Figure
      title={TITLE}
      legend={
        <>
          <Key tone="one">revenue</Key>
          <Key tone="two">spend</Key>
          <Key tone="mark">target now</Key>
          {beyond.length > 0 && <Key tone="band">beyond what the data can tell</Key>}
        </>
      }
      table={() => ({
        head: ["Target ROAS", "Spend", "Revenue", "ROAS", "λ", "Beyond the data", "Note"],
        rows: curve.map((one) => [
          decimal(one.target),
          money(one.spend, currency),
          money(one.revenue, currency),
          roasWords(one),
          decimal(one.lambda),
          percent(one.beyond_data),
          one.note ?? "",
        ]),
      })}
      foot={
        <>
          {shortDay(simulation.from)} to {shortDay(simulation.to)}, when {money(current.spend, currency)}{" "}
          brought {money(current.revenue, currency)}. {simulation.confidence}
        </>
      }
    >
      <LineChart
        label={`Spend and revenue of ${simulation.days} days at other ROAS targets, in ${currency}`}
        x={x}
        xWords={(place) => `target ${decimal(x[place])}`}
        xTick={(place) => decimal(x[place])}
        series={[
          { name: "revenue", values: curve.map((one) => number(one.revenue)), tone: "one", dots: true },
          { name: "spend", values: curve.map((one) => number(one.spend)), tone: "two", dots: true },
        ]}
        marks={[{ at: current.target, name: `target now: ${decimal(current.target)}` }]}
        bands={beyond}
        y={(value) => money(value, currency)}
        yTick={compact}
        rest={`Target now ${decimal(current.target)}; what each target would have spent and brought in ${simulation.days} days`}
        note={(place) => {
          const one = curve[place];
          return one ? [`ROAS ${roasWords(one)}`, one.note].filter(Boolean).join(" · ") : "";
        }}
      />
    </Figure>
  );
}

type Point = Simulation["curve"][number];

const roasWords = ({ roas, interval }: Point): string =>
  decimal(roas) + (interval ? ` (${decimal(interval.low)} to ${decimal(interval.high)})` : "");

/** Of the spend: with less than this unaccounted for, a point counts as covered by the data. */
const COVERED = 0.05;

/** The spans of targets that lie beyond the data, to be shaded. */
export function spans(
  curve: readonly Pick<Point, "target" | "beyond_data">[],
): { from: number; to: number; name: string }[] {
  return curve.flatMap((one, place) => {
    if (one.beyond_data < COVERED) return [];
    const before = curve[place - 1]?.target ?? one.target;
    const after = curve[place + 1]?.target ?? one.target;
    return [{ from: (before + one.target) / 2, to: (one.target + after) / 2, name: `beyond ${one.target}` }];
  });
}
