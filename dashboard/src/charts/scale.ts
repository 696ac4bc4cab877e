/** Where a value lies on an axis, and which round values to mark. */

export type Scale = (value: number) => number;

/** The straight line from `domain` to `range`; a domain without width leads to the middle. */
export function linear(
  [low, high]: readonly [number, number],
  [start, end]: readonly [number, number],
): Scale {
  const width = high - low;
  return (value) => (width === 0 ? (start + end) / 2 : start + ((value - low) / width) * (end - start));
}

/** Round values, 1, 2 or 5 times a power of ten apart, about `wanted` of them, that span what they are given. */
export function niceTicks(low: number, high: number, wanted = 4): number[] {
  if (!Number.isFinite(low) || !Number.isFinite(high)) return [0, 1];
  if (low === high) return low === 0 ? [0, 1] : niceTicks(Math.min(0, low), Math.max(0, low), wanted);
  const rough = (high - low) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999) ?? 10);
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  return Array.from({ length: last - first + 1 }, (_, place) =>
    Number(((first + place) * step).toPrecision(12)),
  );
}

/** The least and the greatest of the numbers that are known. */
export function extent(values: Iterable<number | null>): [number, number] | null {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value === null || !Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : null;
}

/** An SVG path through the known points, broken where one is unknown. `steps` holds each value to the next. */
export function path(points: readonly (readonly [number, number] | null)[], steps = false): string {
  let text = "";
  let open = false;
  for (const point of points) {
    if (point === null || !Number.isFinite(point[1])) {
      open = false;
      continue;
    }
    const [x, y] = point.map((value) => Math.round(value * 10) / 10) as [number, number];
    text += open ? (steps ? `H${x}V${y}` : `L${x} ${y}`) : `M${x} ${y}`;
    open = true;
  }
  return text;
}

/** At most `most` places out of `count`, evenly apart, the first one among them. */
export function places(count: number, most: number): number[] {
  const step = Math.max(1, Math.ceil(count / Math.max(1, most)));
  return Array.from({ length: Math.ceil(count / step) }, (_, place) => place * step);
}
