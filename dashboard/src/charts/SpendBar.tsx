/** Today's money against the budget: spent, reserved, and a tick where spend was expected to be by now. */
import { linear } from "./scale";
import type { Tone } from "../words";

interface Props {
  spent: number;
  reserved: number;
  budget: number;
  expected: number | null;
  tone: Tone;
}

const WIDTH = 120;

export function SpendBar({ spent, reserved, budget, expected, tone }: Props) {
  const most = Math.max(budget, spent + reserved, 1e-9);
  const x = linear([0, most], [0, WIDTH]);
  return (
    <svg className="spend" viewBox={`0 0 ${WIDTH} 12`} width={WIDTH} height={12} aria-hidden="true">
      <rect className="room" x={0} width={x(budget)} y={3} height={6} rx={3} />
      <rect className={`spent ${tone}`} x={0} width={x(spent)} y={3} height={6} rx={3} />
      <rect className={`reserved ${tone}`} x={x(spent)} width={x(reserved)} y={3} height={6} />
      {expected !== null && (
        <line
          className="target"
          x1={x(Math.min(expected, most))}
          x2={x(Math.min(expected, most))}
          y1={0}
          y2={12}
        />
      )}
    </svg>
  );
}
