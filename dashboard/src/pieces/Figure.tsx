/** A chart with its title, what to know about it, and the same numbers as a table. */
import { useState, type ReactNode } from "react";

interface Table {
  head: readonly string[];
  rows: readonly (readonly string[])[];
}

interface Props {
  title: string;
  legend?: ReactNode;
  /** Made only when the table is opened. */
  table?: () => Table;
  children: ReactNode;
  /** What to keep in mind when reading it. */
  foot?: ReactNode;
  wide?: boolean;
}

export function Figure({ title, legend, table, children, foot, wide = false }: Props) {
  const [open, setOpen] = useState(false);
  return (
    <figure className={wide ? "panel wide" : "panel"}>
      <figcaption>
        <h2>{title}</h2>
        {table && (
          <button type="button" className="plain small" aria-expanded={open} onClick={() => setOpen(!open)}>
            {open ? "Chart" : "Table"}
            <span className="hidden"> of {title}</span>
          </button>
        )}
      </figcaption>
      {open && table ? <Rows {...table()} title={title} /> : children}
      {!open && legend && <div className="legend">{legend}</div>}
      {foot && <p className="foot">{foot}</p>}
    </figure>
  );
}

function Rows({ head, rows, title }: Table & { title: string }) {
  return (
    // Scrolls, so the keyboard must reach it.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className="scroll short" tabIndex={0} role="region" aria-label={title}>
      <table>
        <thead>
          <tr>
            {head.map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, place) => (
            <tr key={place}>
              {row.map((cell, column) => (
                <td key={head[column]}>{cell}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** One line's key: how it is drawn, and its name. */
export function Key({ tone, children }: { tone: string; children: string }) {
  return (
    <span className="key">
      <svg width={18} height={10} aria-hidden="true">
        {tone === "band" ? (
          <rect className="band" width={18} height={10} />
        ) : tone === "mark" ? (
          <path className="markkey" d="M9 9L4 1h10z" />
        ) : (
          <line className={tone === "rule" ? "rule" : `line ${tone}`} x1={0} x2={18} y1={5} y2={5} />
        )}
      </svg>
      {children}
    </span>
  );
}
