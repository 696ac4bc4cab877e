import { beforeEach, describe, expect, it } from "vitest";
import { bearer, looksLikeToken, session, splitToken, takeTokenFromAddress } from "../src/app/session";

const token = (claims: object): string => `e30.${btoa(JSON.stringify(claims)).replace(/=+$/, "")}.c2ln`;

beforeEach(() => session.signOut());

describe("the token in the address", () => {
  it.each([
    ["#token=a.b.c", "a.b.c", ""],
    ["#/brands/x?token=a.b.c", "a.b.c", "#/brands/x"],
    ["#/brands/x?days=7&token=a.b.c", "a.b.c", "#/brands/x?days=7"],
    ["#/brands/x?token=a.b.c&days=7", "a.b.c", "#/brands/x?days=7"],
    ["#/brands/x?days=7", null, "#/brands/x?days=7"],
    ["", null, ""],
  ])("%s", (fragment, found, rest) => {
    expect(splitToken(fragment)).toEqual({ token: found, rest });
  });

  it("is taken out before anything else can read it, and kept for this session alone", () => {
    history.replaceState(null, "", "#/bundle?token=a.b.c");
    takeTokenFromAddress();
    expect(location.hash).toBe("#/bundle");
    expect(session.token()).toBe("a.b.c");
    expect(localStorage.length).toBe(0);
    expect(document.cookie).toBe("");
  });

  it("is not believed when it has not the form of one", () => {
    history.replaceState(null, "", "#token=<script>");
    takeTokenFromAddress();
    expect(session.token()).toBeNull();
    expect(location.hash).toBe("");
  });
});

describe("a session", () => {
  it("stops sending a token that was refused, and takes the next one", () => {
    session.signIn("a.b.c");
    session.refuse("a.b.c");
    expect([session.state(), session.token()]).toEqual(["refused", null]);
    session.signIn("d.e.f");
    session.refuse("a.b.c"); // an answer to an older call
    expect([session.state(), session.token()]).toEqual(["signed_in", "d.e.f"]);
  });

  it("forgets everything on signing out", () => {
    session.signIn("a.b.c");
    session.signOut();
    expect(session.token()).toBeNull();
    expect(sessionStorage.length).toBe(0);
  });

  it("tells one caller's next token from another caller's", () => {
    const mara = { sub: "mara", scope: "brand", brand_ids: ["b1"], exp: 1 };
    expect(bearer(token(mara))).toBe(bearer(token({ ...mara, exp: 2 })));
    expect(bearer(token(mara))).not.toBe(bearer(token({ ...mara, brand_ids: ["b2"] })));
    expect(bearer("no token")).toBe("");
  });

  it.each([
    ["a.b.c", true],
    ["a.b", false],
    ["a.b.c d", false],
    ["", false],
  ])("%s looks like a token: %s", (text, good) => {
    expect(looksLikeToken(text)).toBe(good);
  });
});
