import { describe, expect, it } from "vitest";
import {
  chance,
  compact,
  day,
  decimal,
  moment,
  money,
  percent,
  significant,
  span,
  time,
} from "../src/format";

describe("numbers", () => {
  it("never makes one up", () => {
    for (const nothing of [null, undefined, "", NaN]) expect(decimal(nothing)).toBe("–");
    expect(percent(null)).toBe("–");
    expect(money(null, "USD")).toBe("–");
  });

  it("never rounds a chance to a certainty", () => {
    expect([0.001, 0.42, 0.999, null].map(chance)).toEqual(["under 1 %", "42 %", "over 99 %", "–"]);
  });

  it("reads decimals that come as text", () => {
    expect(money("1234.5", "USD")).toBe("1,234.50 USD");
    expect(money("0.0078", "EUR")).toBe("0.0078 EUR");
    expect(money("0", "EUR")).toBe("0.00 EUR");
  });

  it("keeps small amounts readable", () => {
    expect(significant(0.00782341)).toBe("0.00782");
    expect(compact(15_000)).toBe("15k");
    expect(percent(0.973, 1)).toBe("97.3 %");
  });
});

describe("times", () => {
  it("are in the time zone asked for", () => {
    expect(time("2026-11-20T23:30:00+00:00", "Europe/Berlin")).toBe("00:30");
    expect(moment("2026-11-20T23:30:00+00:00", "Europe/Berlin")).toBe("21 Nov 2026, 00:30");
  });

  it("reads a day as it is written, whatever the reader's zone", () => {
    expect(day("2026-11-20")).toBe("Fri 20 Nov");
  });

  it.each([
    [0, "0 s"],
    [59, "59 s"],
    [60, "1 min"],
    [7_199, "1 h"],
    [200_000, "2 d"],
    [-5, "0 s"],
  ])("%d seconds are %s", (seconds, words) => {
    expect(span(seconds)).toBe(words);
  });
});
