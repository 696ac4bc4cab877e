/** Which brands are shown, and in what order. */
import type { PortfolioItem } from "../../api/types";
import { number } from "../../format";
import { STATUSES, pacing, type Tone } from "../../words";

export const COLUMNS = ["attention", "name", "roas", "spend", "pacing", "lambda"] as const;
export type Column = (typeof COLUMNS)[number];

export interface Order {
  by: Column;
  descending: boolean;
}

type Key = (item: PortfolioItem) => number | string;

const missing = (value: number | null): number => (value === null || Number.isNaN(value) ? Infinity : value);

/** Within one status, those far off their pace come before those on it. */
const PACE_RANKS: Partial<Record<Tone, number>> = { bad: 0, warn: 0.3 };

const attention = (item: PortfolioItem): number =>
  STATUSES[item.status].rank + (PACE_RANKS[pacing(item.pacing_index).tone] ?? 0.6);

const KEYS: Record<Column, Key> = {
  attention,
  name: (item) => item.name.toLocaleLowerCase("en"),
  roas: (item) => (item.roas.current === null ? Infinity : item.roas.current / item.roas.target),
  spend: (item) => number(item.spent),
  pacing: (item) => missing(item.pacing_index),
  lambda: (item) => missing(item.lambda),
};

/** Sorted by one column; ties by spend, then name. What is unknown comes last either way. */
export function sorted(items: readonly PortfolioItem[], { by, descending }: Order): PortfolioItem[] {
  const key = KEYS[by];
  const keyed = items.map((item) => ({ item, key: key(item) }));
  const sign = descending ? -1 : 1;
  keyed.sort((one, other) => {
    const unknown = Number(one.key === Infinity) - Number(other.key === Infinity);
    if (unknown !== 0) return unknown;
    if (one.key !== other.key) return one.key < other.key ? -sign : sign;
    return number(other.item.spent) - number(one.item.spent) || one.item.name.localeCompare(other.item.name);
  });
  return keyed.map(({ item }) => item);
}

/** Those whose name or id contains every word, with the status if one is named. */
export function matching(
  items: readonly PortfolioItem[],
  words: string,
  status: PortfolioItem["status"] | null,
): PortfolioItem[] {
  const wanted = words.toLocaleLowerCase("en").split(/\s+/).filter(Boolean);
  return items.filter((item) => {
    if (status !== null && item.status !== status) return false;
    const text = `${item.name} ${item.brand_id}`.toLocaleLowerCase("en");
    return wanted.every((word) => text.includes(word));
  });
}

/** How many brands have each status, those that want a look first. */
export function tally(items: readonly PortfolioItem[]): [PortfolioItem["status"], number][] {
  const counts = new Map<PortfolioItem["status"], number>();
  for (const item of items) counts.set(item.status, (counts.get(item.status) ?? 0) + 1);
  return [...counts].sort(([one], [other]) => STATUSES[one].rank - STATUSES[other].rank);
}

/** Is anything wrong? In one sentence. */
export function headline(items: readonly PortfolioItem[]): string {
  const many = (test: (item: PortfolioItem) => boolean): number => items.filter(test).length;
  const steered = (item: PortfolioItem): boolean => item.status !== "paused";
  const off = (item: PortfolioItem): boolean => steered(item) && pacing(item.pacing_index).tone === "bad";
  const found: [number, string][] = [
    [many((item) => item.status === "limited_by_roas"), "held back by ROAS"],
    [many((item) => item.status === "limited_by_budget"), "limited by budget"],
    [many((item) => item.status === "unknown"), "with too little data to tell"],
    [many(off), "far off pace"],
  ];
  const told = found.filter(([count]) => count > 0).map(([count, words]) => `${count} ${words}`);
  return told.length > 0 ? `${told.join(", ")}.` : "Nothing is held back, and spend is on its way.";
}
