import { describe, expect, it } from "vitest";
import { address } from "../src/api/client";
import { href, parse } from "../src/app/router";

describe("an address", () => {
  it.each(["1l1007802", "#N/A", "camp 1", "50% off?", "a&b=c", "ü/ä"])("brings the id %s back", (id) => {
    const { segments, query } = parse(href(["brands", id], { days: 7 }));
    expect(segments).toEqual(["brands", id]);
    expect(query.get("days")).toBe("7");
  });

  it("leaves out what is not said", () => {
    expect(href([], { find: "", status: null })).toBe("#/");
  });

  it("survives a broken escape", () => {
    expect(parse("#/brands/50%").segments).toEqual(["brands", "50%"]);
  });

  it("escapes ids in the API's paths", () => {
    expect(address("/api/brands/{id}", { id: "#N/A" }, { limit: 5, cursor: null })).toBe(
      "/api/brands/%23N%2FA?limit=5",
    );
  });
});
