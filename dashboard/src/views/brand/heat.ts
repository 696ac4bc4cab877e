/** Points of value per impression, by local hour and day. */
import type { VpiPoint } from "../../api/types";
import type { Cell } from "../../charts/HeatMap";
import { count, day, significant } from "../../format";

export interface Heat {
  rows: string[];
  cells: Cell[];
  low: number | null;
  high: number | null;
}

const two = (hour: number): string => String(hour).padStart(2, "0");

export const hours = Array.from({ length: 24 }, (_, hour) => two(hour));

/**
 * The latest `days` local days in which anything happened, the newest one last. `at` carries the zone's own
 * offset, so its text starts with the local day. Where clocks go back an hour comes twice: both are added.
 */
export function heat(points: readonly VpiPoint[], currency: string, days: number): Heat {
  const byPlace = new Map<
    string,
    { day: string; hour: number; impressions: number; revenue: number; points: VpiPoint[] }
  >();
  for (const point of points) {
    if (point.currency !== currency || point.hour === null) continue;
    const local = point.at.slice(0, 10);
    const key = `${local} ${point.hour}`;
    const found = byPlace.get(key) ?? {
      day: local,
      hour: point.hour,
      impressions: 0,
      revenue: 0,
      points: [],
    };
    found.impressions += point.impressions;
    found.revenue += Number(point.revenue);
    found.points.push(point);
    byPlace.set(key, found);
  }
  const rows = [...new Set([...byPlace.values()].map((one) => one.day))].sort().slice(-days);
  const rowOf = new Map(rows.map((text, place) => [text, place]));
  const cells: Cell[] = [];
  for (const one of byPlace.values()) {
    const row = rowOf.get(one.day);
    if (row === undefined) continue;
    const alone = one.points.length === 1 ? one.points[0] : undefined;
    const added = one.impressions > 0 ? one.revenue / one.impressions : null;
    const value = alone ? alone.value_per_impression : added; // the API's own number wherever there is one
    const worth = value === null ? "no impressions" : `${significant(value)} ${currency} per impression`;
    cells.push({
      column: one.hour,
      row,
      value,
      words: `${day(one.day)}, ${two(one.hour)} to ${two((one.hour + 1) % 24)} h · ${worth} · ${count(one.impressions)} impressions`,
    });
  }
  const values = cells.map((cell) => cell.value).filter((value) => value !== null);
  return {
    rows,
    cells,
    low: values.length ? Math.min(...values) : null,
    high: values.length ? Math.max(...values) : null,
  };
}
