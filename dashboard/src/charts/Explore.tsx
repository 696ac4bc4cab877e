/** A chart that is read point by point: with the mouse, a finger, or the arrow keys; and as a table. */
import { useState, type KeyboardEvent, type PointerEvent, type ReactNode } from "react";

interface Props {
  /** What the chart shows, for those who don't see it. */
  label: string;
  /** How many points there are, one row of them under the other. */
  columns: number;
  rows?: number;
  /** The point under a position in the chart's own pixels; null outside. */
  at: (x: number, y: number) => [column: number, row: number] | null;
  /** A point in words. */
  read: (column: number, row: number) => ReactNode;
  /** Shown while no point is chosen. */
  rest: ReactNode;
  /** Where the keys begin. */
  start?: [number, number];
  children: (chosen: [number, number] | null) => ReactNode;
}

export function Explore({ label, columns, rows = 1, at, read, rest, start, children }: Props) {
  const [chosen, setChosen] = useState<[number, number] | null>(null);
  const valid = chosen !== null && chosen[0] < columns && chosen[1] < rows ? chosen : null;

  function move(event: PointerEvent<HTMLDivElement>): void {
    const box = event.currentTarget.getBoundingClientRect();
    setChosen(at(event.clientX - box.left, event.clientY - box.top));
  }

  function press(event: KeyboardEvent): void {
    const [column, row] = valid ?? start ?? [columns - 1, rows - 1];
    const steps: Record<string, [number, number]> = {
      ArrowLeft: [column - 1, row],
      ArrowRight: [column + 1, row],
      ArrowUp: [column, row - 1],
      ArrowDown: [column, row + 1],
      Home: [0, row],
      End: [columns - 1, row],
    };
    if (event.key === "Escape") {
      setChosen(null);
      return;
    }
    const next = steps[event.key];
    if (!next || columns === 0) return;
    event.preventDefault();
    const held: [number, number] = [
      Math.min(columns - 1, Math.max(0, next[0])),
      Math.min(rows - 1, Math.max(0, next[1])),
    ];
    setChosen(valid ? held : [column, row]);
  }

  return (
    <>
      <p className="readout" role="status">
        {valid ? read(valid[0], valid[1]) : rest}
      </p>
      {/* A group that takes the arrow keys: its points are no controls of their own. */}
      {/* eslint-disable jsx-a11y/no-noninteractive-tabindex, jsx-a11y/no-noninteractive-element-interactions */}
      <div
        className="explore"
        role="group"
        aria-label={`${label}. The arrow keys read it point by point.`}
        tabIndex={0}
        onPointerMove={move}
        onPointerDown={move}
        onPointerLeave={() => setChosen(null)}
        onKeyDown={press}
        onBlur={() => setChosen(null)}
      >
        {children(valid)}
      </div>
      {/* eslint-enable */}
    </>
  );
}
