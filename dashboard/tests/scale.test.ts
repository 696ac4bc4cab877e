import { describe, expect, it } from "vitest";
import { extent, linear, niceTicks, path, places } from "../src/charts/scale";

describe("an axis", () => {
  it("maps its ends and its middle", () => {
    const x = linear([2, 6], [100, 300]);
    expect([x(2), x(4), x(6)]).toEqual([100, 200, 300]);
  });

  it("puts a single value in the middle", () => {
    expect(linear([5, 5], [0, 80])(5)).toBe(40);
  });

  it.each([
    [0, 3.1, [0, 1, 2, 3, 4]],
    [0, 400, [0, 100, 200, 300, 400]],
    [0, 0.5, [0, 0.2, 0.4, 0.6]],
    [-3, 7, [-5, 0, 5, 10]],
    [0, 0, [0, 1]],
    [NaN, 1, [0, 1]],
  ])("marks round values from %d to %d", (low, high, ticks) => {
    expect(niceTicks(low, high)).toEqual(ticks);
  });

  it("spans every value it is given, for any magnitude", () => {
    for (let power = -9; power <= 9; power += 1) {
      for (const factor of [1, 1.7, 2.5, 3.3, 9.9]) {
        const high = factor * 10 ** power;
        const ticks = niceTicks(0, high);
        expect(ticks.at(-1)).toBeGreaterThanOrEqual(high * (1 - 1e-9));
        expect(ticks.length).toBeLessThanOrEqual(7);
      }
    }
  });

  it("knows what is unknown", () => {
    expect(extent([null, 3, NaN, -1])).toEqual([-1, 3]);
    expect(extent([null, NaN])).toBeNull();
  });

  it("labels every point when there is room, and evenly when there is not", () => {
    expect(places(3, 10)).toEqual([0, 1, 2]);
    expect(places(10, 4)).toEqual([0, 3, 6, 9]);
    expect(places(0, 4)).toEqual([]);
  });
});

describe("a line", () => {
  it("breaks where a value is unknown", () => {
    expect(path([[0, 1], [1, 2], null, [3, 4], [4, 5]])).toBe("M0 1L1 2M3 4L4 5");
  });

  it("holds each value to the next in steps", () => {
    expect(
      path(
        [
          [0, 1],
          [2, 3],
        ],
        true,
      ),
    ).toBe("M0 1H2V3");
  });
});
