/** What made a score: the weighted revenue, of which λ·cost is taken away; what remains is the score. */
import { linear } from "./scale";

interface Props {
  /** multiplier · (1 + ν) · predicted revenue. */
  revenue: number;
  /** multiplier · (1 + ν) · λ · predicted cost. */
  price: number;
  /** The end of the axis, the same for all bids that are compared. */
  most: number;
}

const WIDTH = 150;

export function ScoreBar({ revenue, price, most }: Props) {
  const x = linear([0, Math.max(most, 1e-12)], [0, WIDTH]);
  const score = revenue - price;
  return (
    <svg className="scorebar" viewBox={`0 0 ${WIDTH} 14`} width={WIDTH} height={14} aria-hidden="true">
      {score > 0 && <rect className="kept" x={0} width={x(score)} y={2} height={10} rx={2} />}
      <rect
        className="priced"
        x={x(Math.max(0, score))}
        width={Math.max(0, x(revenue) - x(Math.max(0, score)))}
        y={2}
        height={10}
      />
      {score <= 0 && (
        <rect
          className="over"
          x={x(revenue)}
          width={Math.max(1, x(Math.min(price, most)) - x(revenue))}
          y={5}
          height={4}
        />
      )}
    </svg>
  );
}
