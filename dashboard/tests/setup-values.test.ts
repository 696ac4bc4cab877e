import { describe, expect, it } from "vitest";
import rules from "../src/generated/rules.json";
import { differences } from "../src/views/setup/Audit";
import { KINDS, ruleOf, ruleWords, type Kind } from "../src/views/setup/kinds";
import { bodyOf, draftOf, merge, same } from "../src/views/setup/values";

const kinds = Object.keys(KINDS) as Kind[];

describe.each(kinds)("the form of %s", (kind) => {
  it("has a field for each property that the API lets one write, and no other", () => {
    const writable = Object.keys(rules[kind]).filter((name) => name !== "id");
    expect(KINDS[kind].fields.map((field) => field.name).sort()).toEqual(writable.sort());
  });
});

describe("a form", () => {
  const { brands, strategies } = KINDS;

  it("starts with the server's defaults", () => {
    expect(draftOf(brands)).toMatchObject({ timezone: "UTC", status: "active", name: "" });
    expect(draftOf(strategies)).toMatchObject({ priority: "0", probe_share: "0.05" });
  });

  it("sends decimals digit by digit, whole numbers as numbers, and nothing as null", () => {
    const draft = { ...draftOf(brands), name: "Shoes", target_roas: "2.000001", daily_budget: "" };
    expect(bodyOf(brands, draft)).toMatchObject({ target_roas: "2.000001", daily_budget: null });
    expect(bodyOf(strategies, { ...draftOf(strategies), priority: "-3" })).toMatchObject({ priority: -3 });
  });

  it("leaves out what is required and empty, so that the server says so", () => {
    expect(bodyOf(brands, draftOf(brands))).not.toHaveProperty("name");
  });

  it("sends an id only where one was given", () => {
    expect(bodyOf(brands, draftOf(brands))).not.toHaveProperty("id");
    expect(bodyOf(brands, draftOf(brands), "b1")).toMatchObject({ id: "b1" });
  });

  it("says the server's rules", () => {
    expect(ruleWords(ruleOf("brands", "target_roas"))).toBe("more than 0, at most 1,000");
    expect(ruleWords(ruleOf("strategies", "probe_share"))).toBe("0 to 1");
    expect(ruleWords(ruleOf("brands", "name"))).toBe("at most 200 characters");
  });
});

describe("two editors of one object", () => {
  const base = { name: "Shoes", target_roas: "2", daily_budget: "100.00" };

  it("fit together where they changed different fields", () => {
    const theirs = { ...base, daily_budget: "150.00" };
    const mine = { ...base, target_roas: "2.5" };
    expect(merge(base, theirs, mine)).toEqual({
      merged: { name: "Shoes", target_roas: "2.5", daily_budget: "150.00" },
      conflicts: [],
      theirs: ["daily_budget"],
    });
  });

  it("must choose where both changed a field", () => {
    const found = merge(base, { ...base, target_roas: "3" }, { ...base, target_roas: "2.5" });
    expect(found.conflicts).toEqual(["target_roas"]);
  });

  it("agree where both entered the same value", () => {
    const found = merge(base, { ...base, target_roas: "2.5" }, { ...base, target_roas: "2.50" });
    expect(found.conflicts).toEqual([]);
  });

  it("know equal numbers, and don't take nothing for zero", () => {
    expect(same("2.50", "2.5")).toBe(true);
    expect(same("", "0")).toBe(false);
    expect(same("a", "b")).toBe(false);
  });
});

describe("the audit log", () => {
  it("tells what changed, and not what always does", () => {
    const old_value = { name: "Shoes", target_roas: "2", updated_at: "1", version: 1 };
    const new_value = { name: "Shoes", target_roas: "3", updated_at: "2", version: 2 };
    expect(differences({ old_value, new_value })).toEqual([["target_roas", "2", "3"]]);
    expect(differences({ old_value: null, new_value })).toEqual([]);
  });
});
