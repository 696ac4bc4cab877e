/** How good a version is on the latest days, read from what the night kept of it. */

import { plain } from "../../format";

export const TARGETS = ["ctr", "cvr", "revenue", "cost"] as const;
export type Target = (typeof TARGETS)[number];

export interface Skill {
  target: Target;
  /** Share of the later days' deviance explained; 1 is all of it. */
  d2: number | null;
  /** Predicted over actual total; 1 is right. */
  calibration: number | null;
  /** The same of the version that served before, on the same days. */
  before: number | null;
}

export interface Validation {
  from: string;
  to: string;
  champion: string;
  skills: Skill[];
}

type Loose = Record<string, unknown>;

const object = (value: unknown): Loose =>
  typeof value === "object" && value !== null ? (value as Loose) : {};
const figure = (value: unknown): number | null =>
  typeof value === "number" && Number.isFinite(value) ? value : null;

/** Null where a version was never judged, such as the packaged one. */
export function validationOf(metrics: unknown): Validation | null {
  const found = object(object(metrics).validation);
  const skill = object(found.skill);
  const champion = object(found.champion_skill);
  const skills = TARGETS.filter((target) => skill[target] !== undefined).map((target) => ({
    target,
    d2: figure(object(skill[target]).d2),
    calibration: figure(object(skill[target]).calibration),
    before: figure(object(champion[target]).d2),
  }));
  if (skills.length === 0) return null;
  return {
    from: plain(found.from),
    to: plain(found.to),
    champion: plain(found.champion),
    skills,
  };
}

/** How calibrated a total is, in words. */
export function calibrationWords(value: number | null): {
  tone: "good" | "warn" | "bad" | "quiet";
  words: string;
} {
  if (value === null) return { tone: "quiet", words: "not known" };
  const off = Math.abs(Math.log(value));
  const side = value > 1 ? "too high" : "too low";
  if (off <= Math.log(1.05)) return { tone: "good", words: "right" };
  return { tone: off <= Math.log(1.2) ? "warn" : "bad", words: side };
}
