import { describe, expect, it } from "vitest";
import { calibrationWords, validationOf } from "../src/views/model/metrics";

describe("a version's metrics", () => {
  it("are read as the night keeps them", () => {
    const validation = {
      from: "2026-11-18T00:00:00+00:00",
      to: "2026-11-21T00:00:00+00:00",
      skill: { ctr: { d2: 0.9, calibration: 1.01 }, revenue: { d2: 0.8, calibration: null } },
      champion: "packaged-1",
      champion_skill: { ctr: { d2: 0.85, calibration: 1.2 } },
    };
    expect(validationOf({ validation, rows: 5 })?.skills).toEqual([
      { target: "ctr", d2: 0.9, calibration: 1.01, before: 0.85 },
      { target: "revenue", d2: 0.8, calibration: null, before: null },
    ]);
  });

  it.each([null, {}, { validation: {} }, { validation: "?" }, "?"])("may be missing: %j", (metrics) => {
    expect(validationOf(metrics)).toBeNull();
  });

  it.each([
    [1.04, "good", "right"],
    [1.1, "warn", "too high"],
    [0.7, "bad", "too low"],
    [null, "quiet", "not known"],
  ])("a calibration of %s is %s: %s", (value, tone, words) => {
    expect(calibrationWords(value)).toEqual({ tone, words });
  });
});
