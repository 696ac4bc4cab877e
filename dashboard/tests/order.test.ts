import { describe, expect, it } from "vitest";
import { headline, matching, sorted, tally } from "../src/views/portfolio/order";
import { pacing } from "../src/words";
import { brand } from "./items";

const ids = (items: readonly { brand_id: string }[]): string[] => items.map((item) => item.brand_id);

const items = [
  brand("paused", { status: "paused" }),
  brand("fine", { status: "on_target", spent: "1" }),
  brand("big", { status: "on_target", spent: "900" }),
  brand("held", { status: "limited_by_roas" }),
  brand("budget", { status: "limited_by_budget" }),
];

describe("the portfolio", () => {
  it("puts what is wrong first, then the big spenders, and the paused last", () => {
    expect(ids(sorted(items, { by: "attention", descending: false }))).toEqual([
      "held",
      "budget",
      "big",
      "fine",
      "paused",
    ]);
  });

  it("puts those far off their pace first within a status", () => {
    const some = [
      brand("fine", { pacing_index: 1, spent: "900" }),
      brand("far", { pacing_index: 0.4 }),
      brand("near", { pacing_index: 0.8 }),
      brand("held", { pacing_index: 1, status: "limited_by_roas" }),
    ];
    expect(ids(sorted(some, { by: "attention", descending: false }))).toEqual([
      "held",
      "far",
      "near",
      "fine",
    ]);
  });

  it("says in one sentence whether anything is wrong", () => {
    expect(headline([brand("fine"), brand("off", { status: "paused", pacing_index: 0.1 })])).toBe(
      "Nothing is held back, and spend is on its way.",
    );
    expect(headline([...items, brand("slow", { pacing_index: 0.5 })])).toBe(
      "1 held back by ROAS, 1 limited by budget, 1 far off pace.",
    );
  });

  it("keeps what is unknown last, up or down", () => {
    const some = [
      brand("none", { pacing_index: null }),
      brand("slow", { pacing_index: 0.5 }),
      brand("fast", { pacing_index: 1.4 }),
    ];
    expect(ids(sorted(some, { by: "pacing", descending: false }))).toEqual(["slow", "fast", "none"]);
    expect(ids(sorted(some, { by: "pacing", descending: true }))).toEqual(["fast", "slow", "none"]);
  });

  it("compares ROAS by how far each is from its own target", () => {
    const roas = brand("x").roas;
    const some = [
      brand("above", { roas: { ...roas, current: 1.2, target: 1 } }),
      brand("below", { roas: { ...roas, current: 3, target: 4 } }),
    ];
    expect(ids(sorted(some, { by: "roas", descending: false }))).toEqual(["below", "above"]);
  });

  it("finds by every word of name or id, and by status", () => {
    expect(ids(matching(items, "brand BUD", null))).toEqual(["budget"]);
    expect(ids(matching(items, "", "on_target"))).toEqual(["fine", "big"]);
    expect(matching(items, "nobody", null)).toEqual([]);
  });

  it("counts by status, worst first", () => {
    expect(tally(items)).toEqual([
      ["limited_by_roas", 1],
      ["limited_by_budget", 1],
      ["on_target", 2],
      ["paused", 1],
    ]);
  });
});

describe("pace", () => {
  it.each([
    [0.9, "good", "on pace"],
    [1.1, "good", "on pace"],
    [0.89, "warn", "behind"],
    [1.3, "warn", "ahead"],
    [0.69, "bad", "behind"],
    [1.31, "bad", "ahead"],
    [null, "quiet", "no pace yet"],
  ])("%s is %s: %s", (index, tone, words) => {
    expect(pacing(index)).toEqual({ tone, words });
  });
});
