import { expect, it } from "vitest";
import { spans } from "../src/views/brand/WhatIf";

it("shades the targets that the data can't vouch for, each to the middle of its neighbours", () => {
  const curve = [
    { target: 1, beyond_data: 0.4 },
    { target: 2, beyond_data: 0.2 },
    { target: 3, beyond_data: 0.01 },
    { target: 5, beyond_data: 0 },
  ];
  expect(spans(curve).map(({ from, to }) => [from, to])).toEqual([
    [1, 1.5],
    [1.5, 2.5],
  ]);
});
