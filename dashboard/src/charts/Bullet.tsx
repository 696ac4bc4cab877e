/**
 * ROAS against its target: how sure it is (bar), what it is (dot), and what it should be (tick).
 *
 * The axis is ROAS over target, from none to twice, so that the ticks of many rows stand under each other.
 */
import { linear } from "./scale";

interface Props {
  current: number | null;
  low: number | null;
  high: number | null;
  target: number;
  /** How likely it is below the target; null where nothing can be said. */
  below: number | null;
}

/** From this chance on it is called below its target, or above it; between them it is not sure. */
const SURE = 0.9;

const WIDTH = 110;
const HEIGHT = 16;

export function Bullet({ current, low, high, target, below }: Props) {
  const x = linear([0, 2 * target], [3, WIDTH - 3]);
  const end = (value: number): number => x(Math.min(value, 2 * target));
  const tone = below === null ? "none" : below >= SURE ? "bad" : 1 - below >= SURE ? "good" : "none";
  return (
    <svg
      className="bullet"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      width={WIDTH}
      height={HEIGHT}
      aria-hidden="true"
    >
      <line className="axis" x1={3} x2={WIDTH - 3} y1={8} y2={8} />
      {low !== null && high !== null && (
        <rect
          className={`range ${tone}`}
          x={end(low)}
          width={Math.max(2, end(high) - end(low))}
          y={5}
          height={6}
          rx={3}
        />
      )}
      <line className="target" x1={end(target)} x2={end(target)} y1={1} y2={15} />
      {current !== null && <circle className={`now ${tone}`} cx={end(current)} cy={8} r={3.5} />}
    </svg>
  );
}
