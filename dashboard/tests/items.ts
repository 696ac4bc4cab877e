/** Brands as the portfolio answers them, for the tests. */
import type { PortfolioItem } from "../src/api/types";

export function brand(id: string, changes: Partial<PortfolioItem> = {}): PortfolioItem {
  return {
    brand_id: id,
    name: `Brand ${id}`,
    status: "on_target",
    reason: "ROAS is above its target",
    currency: "USD",
    timezone: "UTC",
    day: "2026-11-21",
    daily_budget: "100.00",
    spent: "40.00",
    reserved: "5.00",
    overrun: "0",
    expected_spend: "50.00",
    pacing_index: 0.8,
    roas: {
      current: 2.1,
      target: 2,
      low: 1.8,
      high: 2.5,
      probability_below_target: 0.2,
      conversions: 120,
      window_days: 7,
    },
    lambda: 0.4,
    mu: 0.1,
    nu: 0.2,
    portfolio_weight: 1.2,
    as_of: "2026-11-21T12:00:00+00:00",
    ...changes,
  };
}
