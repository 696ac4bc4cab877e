/** What pushed a prediction up or down: one bar per term, to the right for more, to the left for less. */
import { linear } from "./scale";
import { decimal } from "../format";

interface Props {
  /** `note`: what the model saw. */
  terms: readonly { name: string; note?: string; value: number }[];
}

const WIDTH = 160;

export function Terms({ terms }: Props) {
  const most = Math.max(...terms.map((term) => Math.abs(term.value)), 1e-9);
  const x = linear([-most, most], [1, WIDTH - 1]);
  return (
    <ul className="terms">
      {terms.map((term) => (
        <li key={term.name}>
          <span className="term">
            {term.name} {term.note && <span className="quiet">({term.note})</span>}
          </span>
          <svg width={WIDTH} height={12} viewBox={`0 0 ${WIDTH} 12`} aria-hidden="true">
            <rect
              className={term.value < 0 ? "less" : "more"}
              x={Math.min(x(0), x(term.value))}
              width={Math.max(0.5, Math.abs(x(term.value) - x(0)))}
              y={2}
              height={8}
              rx={1.5}
            />
            <line className="zero" x1={x(0)} x2={x(0)} y1={0} y2={12} />
          </svg>
          <span className="factor">× {decimal(Math.exp(term.value), 2)}</span>
        </li>
      ))}
    </ul>
  );
}
