/** A form's texts, the objects they stand for, and what to do when two people changed the same one. */
import { plain } from "../../format";
import type { AnyKind } from "./kinds";
import { ruleOf } from "./kinds";

/** The fields of a form by name; "" is nothing. */
export type Draft = Record<string, string>;

type Stored = Record<string, unknown>;

/** A value as a person reads it. */
export const show = (value: unknown): string => plain(value) || "nothing";

/** What the form starts with: the object's values, or the server's defaults. */
export function draftOf(kind: AnyKind, stored?: Stored): Draft {
  const entries = kind.fields.map(({ name }) => {
    return [name, plain(stored ? stored[name] : ruleOf(kind.kind, name).initial)] as const;
  });
  return Object.fromEntries(entries);
}

/** What is sent. Decimals stay texts, so that no digit is lost on the way. */
export function bodyOf(kind: AnyKind, draft: Draft, id?: string): Stored {
  const body: Stored = {};
  if (id) body.id = id;
  for (const { name, input } of kind.fields) {
    const value = (draft[name] ?? "").trim();
    const rule = ruleOf(kind.kind, name);
    if (value === "") {
      if (rule.nullable) body[name] = null;
      // Else it is left out, and the server says whether it may be.
    } else {
      body[name] = input === "whole" && /^[+-]?\d+$/.test(value) ? Number(value) : value;
    }
  }
  return body;
}

/** Texts that mean the same value: `2.50` is `2.5`. */
export function same(one: string, other: string): boolean {
  if (one.trim() === other.trim()) return true;
  const [a, b] = [Number(one), Number(other)];
  return one.trim() !== "" && other.trim() !== "" && Number.isFinite(a) && a === b;
}

export const changed = (one: Draft, other: Draft): string[] =>
  Object.keys(one).filter((name) => !same(one[name] ?? "", other[name] ?? ""));

export interface Merge {
  /** Every change that only one side made. */
  merged: Draft;
  /** The fields that both sides changed, each to something else. */
  conflicts: string[];
  /** The fields that the other side changed. */
  theirs: string[];
}

/** Three ways: `base` is what the form was opened with, `theirs` what is stored now, `mine` what was entered. */
export function merge(base: Draft, theirs: Draft, mine: Draft): Merge {
  const byThem = changed(base, theirs);
  const byMe = changed(base, mine);
  const conflicts = byMe.filter(
    (name) => byThem.includes(name) && !same(theirs[name] ?? "", mine[name] ?? ""),
  );
  const merged: Draft = { ...theirs };
  for (const name of byMe) merged[name] = mine[name] ?? "";
  return { merged, conflicts, theirs: byThem };
}

/** Entries that were not saved yet, so that a look at another view loses nothing. */
const drafts = new Map<string, { base: Draft; draft: Draft; etag: string }>();

export const keep = drafts.set.bind(drafts);
export const kept = drafts.get.bind(drafts);
export const forget = drafts.delete.bind(drafts);
export const anyKept = (): boolean => drafts.size > 0;
