/** ROAS against target and λ by day; today's spend against the curve it was expected to follow. */
import type { History } from "../../api/types";
import { LineChart } from "../../charts/LineChart";
import { compact, day, decimal, localDay, money, number, percent, shortDay, time } from "../../format";
import { Figure, Key } from "../../pieces/Figure";
import { actionWords } from "../../words";

const known = (value: number): number | null => (Number.isFinite(value) ? value : null);

export function RoasByDay({ history }: { history: History }) {
  const { days, target_roas: target, currency } = history;
  const x = days.map((_, place) => place);
  const immature = days.findIndex((one) => one.immature);
  const last = days.findLast((one) => one.roas !== null && !one.immature);
  const bands =
    immature < 0 ? [] : [{ from: Math.max(0, immature - 0.5), to: days.length - 1, name: "not final" }];
  return (
    <Figure
      title="ROAS by day"
      legend={
        <>
          <Key tone="one">ROAS</Key>
          <Key tone="rule">target</Key>
          {bands.length > 0 && <Key tone="band">not final: conversions still come in</Key>}
        </>
      }
      table={() => ({
        head: ["Day", "ROAS", "Cost", "Revenue", "Impressions", "Clicks", "Conversions"],
        rows: days.map((one) => [
          day(one.day) + (one.immature ? " (not final)" : ""),
          decimal(one.roas),
          money(one.cost, currency),
          money(one.revenue, currency),
          decimal(one.impressions, 0),
          decimal(one.clicks, 0),
          decimal(one.conversions, 0),
        ]),
      })}
    >
      <LineChart
        label={`ROAS of ${days.length} days against the target of ${decimal(target)}`}
        x={x}
        xWords={(place) => day(days[place]?.day ?? "")}
        xTick={(place) => shortDay(days[place]?.day ?? "")}
        series={[{ name: "ROAS", values: days.map((one) => one.roas), tone: "one", dots: days.length <= 31 }]}
        rules={[{ value: target, name: "target" }]}
        bands={bands}
        y={(value) => decimal(value)}
        yTick={(value) => compact(value)}
        rest={
          last
            ? `Target ${decimal(target)}. ${day(last.day)}: ${decimal(last.roas)}`
            : `Target ${decimal(target)}. Nothing was spent yet.`
        }
        note={(place) => {
          const one = days[place];
          return one
            ? `${money(one.revenue, currency)} for ${money(one.cost, currency)}${one.immature ? ", not final" : ""}`
            : "";
        }}
      />
    </Figure>
  );
}

const QUARTER = 15 * 60_000;

export function DaySpend({ history }: { history: History }) {
  const { today, currency, timezone } = history;
  const budget = known(number(today.daily_budget));
  const { quarters } = today;
  const x = quarters.map((one) => new Date(one.at).getTime() + QUARTER); // amounts are as of its end
  const spent = quarters.map((one) => known(number(one.spent)));
  const expected = quarters.map((one) => (budget === null ? null : one.expected_share * budget));
  const latest = spent.findLastIndex((value) => value !== null);
  const clock = (place: number): string => (x[place] === undefined ? "" : time(x[place], timezone));
  return (
    <Figure
      title={`Spend on ${day(today.day)}`}
      legend={
        <>
          <Key tone="one">spent</Key>
          {budget !== null && <Key tone="two dashed">expected</Key>}
          {budget !== null && <Key tone="rule">budget</Key>}
          <span className="quiet">{timezone}</span>
        </>
      }
      table={() => ({
        head: ["Until", "Spent", "Expected", "Expected share"],
        rows: quarters.map((one, place) => [
          clock(place),
          money(one.spent, currency),
          money(expected[place] ?? null, currency),
          percent(one.expected_share, 1),
        ]),
      })}
    >
      <LineChart
        label={`Spend of ${day(today.day)} by the quarter hour against its expected curve, in ${currency}`}
        x={x}
        xWords={clock}
        xTick={clock}
        xTicks={x.flatMap((_, place) => (/^(03|06|09|12|15|18|21):00$/.test(clock(place)) ? [place] : []))}
        series={[
          { name: "expected", values: expected, tone: "two", dashed: true },
          { name: "spent", values: spent, tone: "one", area: true },
        ]}
        rules={budget === null ? [] : [{ value: budget, name: "budget" }]}
        y={(value) => money(value, currency)}
        yTick={compact}
        rest={
          latest < 0
            ? "Nothing was spent yet today."
            : `${clock(latest)}: ${money(spent[latest] ?? null, currency)}${budget === null ? ", no budget" : ` of ${money(budget, currency)}`}`
        }
      />
    </Figure>
  );
}

export function LambdaByDay({ history }: { history: History }) {
  const { days } = history;
  const changed = changesByDay(history);
  const marks = [...changed].map(([at, words]) => ({ at, name: words.join("; ") }));
  const last = days.findLast((one) => one.lambda !== null);
  return (
    <Figure
      title="λ by day"
      legend={
        <>
          <Key tone="one">λ</Key>
          <Key tone="two">ν, of the ROAS target</Key>
          <Key tone="three">μ, of the budget</Key>
          {marks.length > 0 && <Key tone="mark">brand or strategy changed</Key>}
        </>
      }
      table={() => ({
        head: ["Day", "λ", "ν", "μ"],
        rows: days.map((one) => [
          day(one.day),
          decimal(one.lambda, 4),
          decimal(one.nu, 4),
          decimal(one.mu, 4),
        ]),
      })}
    >
      <LineChart
        label={`λ, ν and μ of ${days.length} days`}
        x={days.map((_, place) => place)}
        xWords={(place) => day(days[place]?.day ?? "")}
        xTick={(place) => shortDay(days[place]?.day ?? "")}
        series={[
          { name: "μ", values: days.map((one) => one.mu), tone: "three" },
          { name: "ν", values: days.map((one) => one.nu), tone: "two" },
          { name: "λ", values: days.map((one) => one.lambda), tone: "one" },
        ]}
        marks={marks}
        y={(value) => decimal(value, 3)}
        yTick={compact}
        rest={
          last
            ? `${day(last.day)}: λ ${decimal(last.lambda, 3)}`
            : "No price was set yet: the brand is not steered."
        }
        note={(place) => changed.get(place)?.join("; ") ?? ""}
      />
    </Figure>
  );
}

/** What was changed, by the place of its day among the history's days. */
export function changesByDay({ days, changes, timezone }: History): Map<number, string[]> {
  const places = new Map(days.map((one, place) => [one.day, place]));
  const found = new Map<number, string[]>();
  for (const change of changes) {
    const place = places.get(localDay(change.at, timezone));
    if (place === undefined) continue;
    const words = [`${change.kind} ${actionWords(change.action)}`, change.actor].filter(Boolean).join(" by ");
    found.set(place, [...(found.get(place) ?? []), words]);
  }
  return found;
}
