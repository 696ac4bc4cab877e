/** What people set: the kinds of objects, the fields of each, and the server's own rules for them. */
import type { Brand, Partner, Slot, Strategy } from "../../api/types";
import rules from "../../generated/rules.json";

export type Kind = keyof typeof rules;

export interface Rule {
  required: boolean;
  nullable: boolean;
  words?: string;
  options?: string[];
  initial?: unknown;
  least?: number;
  above?: number;
  most?: number;
  below?: number;
  shortest?: number;
  longest?: number;
}

type Input = "text" | "decimal" | "whole" | "choice" | "strategy" | "partner" | "timezone" | "currency";

export interface Field<K extends string = string> {
  name: K;
  label: string;
  input: Input;
  /** What the field does, where the API's own words leave it open. */
  help?: string;
}

interface Definition<T> {
  kind: Kind;
  /** As the audit log calls it. */
  one: string;
  title: string;
  about: string;
  fields: readonly Field<Exclude<keyof T & string, "id" | "created_at" | "updated_at">>[];
  /** The fields of the list. */
  columns: readonly (keyof T & string)[];
}

const brands: Definition<Brand> = {
  kind: "brands",
  one: "brand",
  title: "Brands",
  about: "Advertisers, their budgets and their targets.",
  fields: [
    { name: "name", label: "Name", input: "text" },
    {
      name: "vertical",
      label: "Vertical",
      input: "text",
      help: "Brands of one vertical learn from each other.",
    },
    { name: "strategy_id", label: "Strategy", input: "strategy", help: "The id of one of the strategies." },
    { name: "status", label: "Status", input: "choice", help: "A paused brand buys nothing." },
    { name: "target_roas", label: "Target ROAS", input: "decimal" },
    { name: "daily_budget", label: "Daily budget", input: "decimal", help: "Leave empty for no limit." },
    { name: "currency", label: "Currency", input: "currency" },
    { name: "timezone", label: "Time zone", input: "timezone" },
  ],
  columns: ["name", "id", "status", "strategy_id", "target_roas", "daily_budget", "currency", "updated_at"],
};

const strategies: Definition<Strategy> = {
  kind: "strategies",
  one: "strategy",
  title: "Strategies",
  about: "How a brand's bids are scored.",
  fields: [
    { name: "name", label: "Name", input: "text" },
    { name: "vpi_multiplier", label: "Multiplier", input: "decimal" },
    { name: "priority", label: "Priority", input: "whole" },
    { name: "probe_share", label: "Probe share", input: "decimal" },
    { name: "exploration_share", label: "Exploration share", input: "decimal" },
  ],
  columns: ["name", "id", "vpi_multiplier", "priority", "probe_share", "exploration_share", "updated_at"],
};

const partners: Definition<Partner> = {
  kind: "partners",
  one: "partner",
  title: "Partners",
  about: "Publishers.",
  fields: [
    { name: "name", label: "Name", input: "text" },
    { name: "quality", label: "Quality", input: "decimal" },
  ],
  columns: ["name", "id", "quality", "updated_at"],
};

const slots: Definition<Slot> = {
  kind: "slots",
  one: "slot",
  title: "Slots",
  about: "Places for ads.",
  fields: [
    { name: "name", label: "Name", input: "text" },
    {
      name: "partner_id",
      label: "Partner",
      input: "partner",
      help: "Leave empty to open it to every partner.",
    },
    { name: "placement_score", label: "Placement score", input: "decimal" },
    { name: "floor", label: "Floor", input: "decimal" },
    { name: "currency", label: "Currency", input: "currency" },
  ],
  columns: ["name", "id", "partner_id", "placement_score", "floor", "currency", "updated_at"],
};

/** A kind without the type of its objects: what the generic list and form work with. */
export interface AnyKind {
  kind: Kind;
  one: string;
  title: string;
  about: string;
  fields: readonly Field[];
  columns: readonly string[];
}

export const KINDS: Record<Kind, AnyKind> = { brands, strategies, partners, slots };

export const ruleOf = (kind: Kind, field: string): Rule =>
  ((rules[kind] as Record<string, unknown>)[field] as Rule | undefined) ?? {
    required: false,
    nullable: true,
  };

/** The server's rule in words, e.g. `0 to 1`. */
export function ruleWords(rule: Rule): string {
  const { least, above, most, below, longest } = rule;
  const parts: string[] = [];
  if (least !== undefined && most !== undefined) parts.push(`${plain(least)} to ${plain(most)}`);
  else {
    if (least !== undefined) parts.push(least === 0 ? "not negative" : `at least ${plain(least)}`);
    if (above !== undefined) parts.push(`more than ${plain(above)}`);
    if (most !== undefined) parts.push(`at most ${plain(most)}`);
    if (below !== undefined && below < 1e9) parts.push(`less than ${plain(below)}`);
  }
  // The API's words for ids already say how long they may be.
  if (longest !== undefined && !rule.words?.includes(String(longest)))
    parts.push(`at most ${longest} characters`);
  return parts.join(", ");
}

const plain = (value: number): string => value.toLocaleString("en");
