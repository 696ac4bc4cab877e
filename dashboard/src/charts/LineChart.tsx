/** Lines over one horizontal axis, with shaded spans, horizontal rules and marked moments. */
import { Explore } from "./Explore";
import { extent, linear, niceTicks, path, places } from "./scale";
import { useWidth } from "./useWidth";

export interface Series {
  name: string;
  values: readonly (number | null)[];
  tone: "one" | "two" | "three" | "rule";
  dashed?: boolean;
  area?: boolean;
  steps?: boolean;
  /** Draw each point as well. */
  dots?: boolean;
}

interface Props {
  label: string;
  /** Ascending positions of the points. */
  x: readonly number[];
  xWords: (place: number) => string;
  xTick: (place: number) => string;
  /** The points that may be named on the axis; all of them where left out. */
  xTicks?: readonly number[];
  series: readonly Series[];
  y: (value: number) => string;
  yTick: (value: number) => string;
  rules?: readonly { value: number; name: string }[];
  /** Spans of x that are shaded. */
  bands?: readonly { from: number; to: number; name: string }[];
  /** Moments on x that are marked. */
  marks?: readonly { at: number; name: string }[];
  height?: number;
  rest: string;
  /** Said of a point beside its values. */
  note?: (place: number) => string;
}

const TOP = 10;
const RIGHT = 12;
const BOTTOM = 22;

export function LineChart(props: Props) {
  const { x, series, rules = [], bands = [], marks = [], height = 180 } = props;
  const [element, width] = useWidth<HTMLDivElement>();

  const values = [...series.flatMap((one) => one.values), ...rules.map((rule) => rule.value)];
  const [low, high] = extent(values) ?? [0, 1];
  const ticks = niceTicks(Math.min(0, low), high, height > 120 ? 4 : 3);
  const names = ticks.map(props.yTick);
  const left = 10 + 6.2 * Math.max(...names.map((name) => name.length));

  const sx = linear([x[0] ?? 0, x[x.length - 1] ?? 1], [left, width - RIGHT]);
  const sy = linear([ticks[0] ?? 0, ticks[ticks.length - 1] ?? 1], [height - BOTTOM, TOP]);
  const point = (one: Series, place: number): readonly [number, number] | null => {
    const value = one.values[place] ?? null;
    return value === null ? null : [sx(x[place] ?? 0), sy(value)];
  };

  function nearest(px: number): [number, number] | null {
    if (x.length === 0) return null;
    let best = 0;
    x.forEach((value, place) => {
      if (Math.abs(sx(value) - px) < Math.abs(sx(x[best] ?? 0) - px)) best = place;
    });
    return [best, 0];
  }

  function read(place: number): string {
    const known = series.flatMap((one) => {
      const value = one.values[place] ?? null;
      return value === null ? [] : [`${one.name} ${props.y(value)}`];
    });
    const words = [props.xWords(place), ...(known.length ? known : ["nothing known"])];
    const note = props.note?.(place);
    return note ? `${words.join(" · ")} · ${note}` : words.join(" · ");
  }

  const nameable = props.xTicks ?? x.map((_, place) => place);
  const labelled = places(nameable.length, Math.floor((width - left) / 62)).map(
    (place) => nameable[place] ?? 0,
  );
  const start = series.reduce(
    (last, one) =>
      Math.max(
        last,
        one.values.findLastIndex((v) => v !== null),
      ),
    0,
  );

  return (
    <Explore
      label={props.label}
      columns={x.length}
      at={nearest}
      read={read}
      rest={props.rest}
      start={[start, 0]}
    >
      {(chosen) => (
        <div ref={element}>
          <svg width={width} height={height} role="img" aria-label={props.label} className="chart">
            {bands.map((band) => (
              <rect
                key={`${band.from}-${band.name}`}
                className="band"
                x={sx(band.from)}
                width={Math.max(1, sx(band.to) - sx(band.from))}
                y={TOP}
                height={height - BOTTOM - TOP}
              />
            ))}
            {ticks.map((tick, place) => (
              <g key={tick}>
                <line className="grid" x1={left} x2={width - RIGHT} y1={sy(tick)} y2={sy(tick)} />
                <text className="tick" x={left - 6} y={sy(tick)} dy="0.32em" textAnchor="end">
                  {names[place]}
                </text>
              </g>
            ))}
            {labelled.map((place) => (
              <text
                key={place}
                className="tick"
                x={sx(x[place] ?? 0)}
                y={height - 6}
                textAnchor={place === 0 ? "start" : "middle"}
              >
                {props.xTick(place)}
              </text>
            ))}
            {marks.map((mark, place) => (
              <g key={`${mark.at}-${place}`} className="mark">
                <title>{mark.name}</title>
                <line x1={sx(mark.at)} x2={sx(mark.at)} y1={TOP} y2={height - BOTTOM} />
                <path d={`M${sx(mark.at)} ${TOP + 7}l-5 -8h10z`} />
              </g>
            ))}
            {series.map((one) => (
              <Line
                key={one.name}
                one={one}
                points={x.map((_, place) => point(one, place))}
                floor={sy(ticks[0] ?? 0)}
              />
            ))}
            {rules.map((rule) => (
              <line
                key={rule.name}
                className="rule"
                x1={left}
                x2={width - RIGHT}
                y1={sy(rule.value)}
                y2={sy(rule.value)}
              />
            ))}
            {chosen && (
              <g className="cursor">
                <line x1={sx(x[chosen[0]] ?? 0)} x2={sx(x[chosen[0]] ?? 0)} y1={TOP} y2={height - BOTTOM} />
                {series.map((one) => {
                  const found = point(one, chosen[0]);
                  return (
                    found && (
                      <circle
                        key={one.name}
                        className={`dot ${one.tone}`}
                        cx={found[0]}
                        cy={found[1]}
                        r={4}
                      />
                    )
                  );
                })}
              </g>
            )}
          </svg>
        </div>
      )}
    </Explore>
  );
}

function Line({
  one,
  points,
  floor,
}: {
  one: Series;
  points: (readonly [number, number] | null)[];
  floor: number;
}) {
  const line = path(points, one.steps);
  const known = points.filter((point) => point !== null);
  const [first, last] = [known[0], known[known.length - 1]];
  const alone = points.filter((point, place) => point && !points[place - 1] && !points[place + 1]);
  return (
    <>
      {one.area && first && last && (
        <path className={`area ${one.tone}`} d={`${line}L${last[0]} ${floor}L${first[0]} ${floor}Z`} />
      )}
      <path className={`line ${one.tone}${one.dashed ? " dashed" : ""}`} d={line} />
      {(one.dots ? known : alone).map(
        (point) =>
          point && (
            <circle
              key={point[0]}
              className={`dot ${one.tone}`}
              cx={point[0]}
              cy={point[1]}
              r={one.dots ? 2.5 : 3.5}
            />
          ),
      )}
    </>
  );
}
