/** One cell per hour and day: the darker, the more. An hour without impressions stays empty. */
import { Explore } from "./Explore";
import { extent, places } from "./scale";
import { useWidth } from "./useWidth";

export interface Cell {
  column: number;
  row: number;
  value: number | null;
  words: string;
}

interface Props {
  label: string;
  columns: readonly string[];
  rows: readonly string[];
  cells: readonly Cell[];
  words: (column: number, row: number) => string;
  rest: string;
}

const TOP = 18;
const LINE = 17;
const SHADES = 8;

export function HeatMap({ label, columns, rows, cells, words, rest }: Props) {
  const [element, width] = useWidth<HTMLDivElement>();
  const left = 10 + 6 * Math.max(0, ...rows.map((row) => row.length));
  const cell = (width - left) / Math.max(1, columns.length);
  const height = TOP + LINE * rows.length + 2;
  const [low, high] = extent(cells.map((one) => one.value)) ?? [0, 0];
  const byPlace = new Map(cells.map((one) => [`${one.column},${one.row}`, one]));
  const shade = (value: number): number =>
    high > low ? 1 + Math.min(SHADES - 1, Math.floor(((value - low) / (high - low)) * SHADES)) : SHADES / 2;

  function at(x: number, y: number): [number, number] | null {
    const column = Math.floor((x - left) / cell);
    const row = Math.floor((y - TOP) / LINE);
    return column >= 0 && column < columns.length && row >= 0 && row < rows.length ? [column, row] : null;
  }

  return (
    <Explore
      label={label}
      columns={columns.length}
      rows={rows.length}
      at={at}
      read={(column, row) => byPlace.get(`${column},${row}`)?.words ?? words(column, row)}
      rest={rest}
    >
      {(chosen) => (
        <div ref={element}>
          <svg width={width} height={height} role="img" aria-label={label} className="chart heat">
            {places(columns.length, Math.floor((width - left) / 26)).map((column) => (
              <text key={column} className="tick" x={left + cell * (column + 0.5)} y={12} textAnchor="middle">
                {columns[column]}
              </text>
            ))}
            {rows.map((row, place) => (
              <text
                key={row}
                className="tick"
                x={left - 6}
                y={TOP + LINE * (place + 0.5)}
                dy="0.32em"
                textAnchor="end"
              >
                {row}
              </text>
            ))}
            {rows.flatMap((_, row) =>
              columns.map(
                (_, column) =>
                  byPlace.has(`${column},${row}`) || (
                    <rect
                      key={`${column},${row}`}
                      className="nothing"
                      x={left + cell * column + 0.75}
                      y={TOP + LINE * row + 0.75}
                      width={Math.max(1, cell - 1.5)}
                      height={LINE - 1.5}
                      rx={2}
                    />
                  ),
              ),
            )}
            {cells.map((one) => (
              <rect
                key={`${one.column},${one.row}`}
                data-cell={`${one.column},${one.row}`}
                className={one.value === null ? "none" : `shade s${shade(one.value)}`}
                x={left + cell * one.column + 0.75}
                y={TOP + LINE * one.row + 0.75}
                width={Math.max(1, cell - 1.5)}
                height={LINE - 1.5}
                rx={2}
              />
            ))}
            {chosen && (
              <rect
                className="chosen"
                x={left + cell * chosen[0]}
                y={TOP + LINE * chosen[1]}
                width={cell}
                height={LINE}
                rx={2}
              />
            )}
          </svg>
        </div>
      )}
    </Explore>
  );
}

/** The shades from least to most, with their ends named. */
export function Shades({ low, high }: { low: string; high: string }) {
  return (
    <span className="shades">
      <span>{low}</span>
      <svg width={SHADES * 12} height={10} aria-hidden="true" className="heat">
        {Array.from({ length: SHADES }, (_, place) => (
          <rect
            key={place}
            className={`shade s${place + 1}`}
            x={place * 12}
            width={11}
            height={10}
            rx={1.5}
          />
        ))}
      </svg>
      <span>{high}</span>
    </span>
  );
}
