import { describe, expect, it } from "vitest";
import type { Result } from "../src/api/types";
import {
  bundleOf,
  bySlot,
  draftBid,
  emptyBid,
  exampleBids,
  fitsEditor,
  parts,
  readPasted,
  sentBid,
} from "../src/views/bundle/bids";

const bid = { ...emptyBid(0), brand_id: "b", partner_id: "p", slot_id: "s" };

describe("a bundle", () => {
  it("is always a dry run", () => {
    expect(bundleOf("x", [], "")).toEqual({ id: "x", dry_run: true, explain: true, bids: [] });
    expect(bundleOf("x", [], "2026-01-01T00:00:00Z").at).toBe("2026-01-01T00:00:00Z");
  });

  it("is explained up to 100 bids", () => {
    const many = Array.from({ length: 101 }, () => sentBid(bid));
    expect([bundleOf("x", many.slice(1), "").explain, bundleOf("x", many, "").explain]).toEqual([
      true,
      false,
    ]);
  });

  it("leaves out what was left empty", () => {
    expect(sentBid(bid)).not.toHaveProperty("creative_type");
    expect(draftBid(sentBid(bid))).toEqual(bid);
  });

  it.each([
    ['{"bids": [{"id": "a"}, {"id": "b"}]}', 2],
    ['[{"id": "a"}]', 1],
    ['{"id": "a"}', 1],
  ])("is read from %s", (text, many) => {
    expect(readPasted(text)).toHaveLength(many);
  });

  it.each([
    ["{", "no JSON"],
    ["[]", "no bids"],
    ["[1]", "Bid 1 is no object"],
  ])("says what is wrong with %s", (text, why) => {
    expect(() => readPasted(text)).toThrow(why);
  });

  it("stays JSON where the rows would lose something", () => {
    expect(fitsEditor(readPasted('[{"id": "a", "amount": 2}]'))).toBe(true);
    expect(fitsEditor(readPasted('[{"id": "a", "campaign_id": "c"}]'))).toBe(false);
  });

  it("begins with active brands of the slot's currency, in its partner's name", () => {
    const brands = [
      { id: "x", currency: "USD", status: "paused" },
      { id: "y", currency: "EUR", status: "active" },
      { id: "z", currency: "USD", status: "active" },
    ];
    const drafts = exampleBids(brands, { id: "s1", partner_id: "p7", currency: "USD" }, "p0");
    expect(drafts.map((draft) => [draft.brand_id, draft.partner_id, draft.slot_id])).toEqual([
      ["z", "p7", "s1"],
    ]);
  });
});

describe("a score", () => {
  const result = {
    bid_id: "b1",
    slot_id: "s1",
    predicted_revenue: 0.04,
    predicted_cost: 0.02,
    lambda: 0.5,
    portfolio_weight: 1.5,
    strategy: { id: "g", name: "g", multiplier: 1.2 },
  } as Result;

  it("is made of weighted revenue less the price of cost", () => {
    const made = parts(result);
    expect(made?.revenue).toBeCloseTo(1.2 * 1.5 * 0.04);
    expect(made?.price).toBeCloseTo(1.2 * 1.5 * 0.5 * 0.02);
  });

  it("is not taken apart where it can't be computed", () => {
    expect(parts({ ...result, lambda: null })).toBeNull();
    expect(parts({ ...result, strategy: null })).toBeNull();
  });

  it("is compared within its slot, in the order of the answer", () => {
    const grouped = bySlot([result, { ...result, slot_id: "s2" }, { ...result, bid_id: "b2" }]);
    expect(grouped.map(([slot, results]) => [slot, results.length])).toEqual([
      ["s1", 2],
      ["s2", 1],
    ]);
  });
});
