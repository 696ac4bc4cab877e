/** The API's codes in plain words. An unknown code is shown as it is, so that nothing new is hidden. */
import type { PortfolioItem } from "./api/types";

export type Tone = "good" | "warn" | "bad" | "info" | "quiet";

type Status = PortfolioItem["status"];

/** By how soon it wants a look: the first are the worst. */
export const STATUSES: Record<Status, { words: string; tone: Tone; rank: number }> = {
  limited_by_roas: { words: "Held back by ROAS", tone: "bad", rank: 0 },
  limited_by_budget: { words: "Limited by budget", tone: "warn", rank: 1 },
  unknown: { words: "Not known", tone: "quiet", rank: 2 },
  learning: { words: "Learning", tone: "info", rank: 3 },
  on_target: { words: "On target", tone: "good", rank: 4 },
  paused: { words: "Paused", tone: "quiet", rank: 5 },
};

const REASONS: Record<string, string> = {
  below_floor: "its cost per thousand impressions is under the slot's floor",
  brand_paused: "the brand is paused",
  budget_exhausted: "today's budget has no room for it",
  budget_spent: "today's budget is spent",
  roas_throttled: "the brand is below its ROAS target and holds back",
  negative_margin: "it would cost more than it is expected to bring",
  currency_mismatch: "bid, brand and slot differ in currency",
  unknown_brand: "there is no such brand",
  unknown_slot: "there is no such slot, or it is another partner's",
  unknown_partner: "there is no such partner",
  ledger_unavailable: "the ledger can't be reached, so no money is promised",
  outranked: "another bid of the slot is worth more",
};

export const reasonWords = (code: string): string => REASONS[code] ?? code.replaceAll("_", " ");

const DEGRADED: Record<string, string> = {
  no_revenue_data: "no revenue was ever reported: each brand is taken to just meet its target",
  counters_unavailable: "what was learned is being rebuilt: predictions are priors",
  cache_unavailable: "Redis is away: answers come from the database alone",
  ledger_unavailable: "the ledger is away: no money is promised",
  model_unavailable: "the newest model can't be read: the last good one serves",
};

export const degradedWords = (code: string): string => DEGRADED[code] ?? code.replaceAll("_", " ");

const ACTIONS: Record<string, string> = { create: "made", replace: "changed", delete: "removed" };

export const actionWords = (action: string): string => ACTIONS[action] ?? action;

/** Pacing index: spend over what was expected by now. 90 to 110 % is on pace, 70 to 130 % is near. */
export function pacing(index: number | null): { tone: Tone; words: string } {
  if (index === null) return { tone: "quiet", words: "no pace yet" };
  if (index >= 0.9 && index <= 1.1) return { tone: "good", words: "on pace" };
  const tone = index >= 0.7 && index <= 1.3 ? "warn" : "bad";
  return { tone, words: index < 1 ? "behind" : "ahead" };
}
