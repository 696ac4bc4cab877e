import { beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError, call, everyPage } from "../src/api/client";
import { session } from "../src/app/session";

function answering(...responses: (Response | Error)[]) {
  const spy = vi.spyOn(globalThis, "fetch");
  for (const response of responses) {
    if (response instanceof Error) spy.mockRejectedValueOnce(response);
    else spy.mockResolvedValueOnce(response);
  }
  return spy;
}

const problem = (status: number, code: string, errors: object[] = []): Response =>
  new Response(
    JSON.stringify({ type: `urn:adbid:problem:${code}`, title: code, status, detail: "in words", errors }),
    { status, headers: { "content-type": "application/problem+json" } },
  );
const gateway = (status: number): Response =>
  new Response('{"message": "Forbidden"}', { status, headers: { "content-type": "application/json" } });
const failure = async (promise: Promise<unknown>): Promise<ApiError> => {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ApiError);
  return error as ApiError;
};

beforeEach(() => session.signIn("a.b.c"));

describe("a call", () => {
  it("carries the token in a header, and never in the address", async () => {
    const fetched = answering(new Response("{}", { headers: { etag: '"3"' } }));
    const { etag } = await call("get", "/api/brands/{id}", { path: { id: "b 1" } });
    const [url, init] = fetched.mock.calls[0] ?? [];
    expect(url).toBe("/api/brands/b%201");
    expect(new Headers(init?.headers).get("authorization")).toBe("Bearer a.b.c");
    expect(init?.credentials).toBe("omit");
    expect(etag).toBe('"3"');
  });

  it("tells a refused token from a scope that is not enough", async () => {
    answering(problem(403, "forbidden"));
    expect((await failure(call("get", "/api/models"))).code).toBe("forbidden");
    expect(session.state()).toBe("signed_in");

    answering(gateway(403));
    expect((await failure(call("get", "/api/models"))).code).toBe("refused_token");
    expect(session.state()).toBe("refused");
  });

  it("takes an expired token's 401 from a function as refused too", async () => {
    answering(problem(401, "unauthorized"));
    await failure(call("get", "/api/me"));
    expect(session.state()).toBe("refused");
  });

  it("sends nothing without a token", async () => {
    session.signOut();
    const fetched = answering();
    expect((await failure(call("get", "/api/me"))).code).toBe("signed_out");
    expect(fetched).not.toHaveBeenCalled();
  });

  it("does not end the session over a token that is only being tried", async () => {
    answering(gateway(403));
    await failure(call("get", "/api/me", { token: "d.e.f" }));
    expect(session.state()).toBe("signed_in");
  });

  it.each([
    [new TypeError("Failed to fetch"), true],
    [gateway(503), true],
    [gateway(429), true],
    [problem(404, "not_found"), false],
    [problem(422, "invalid_request"), false],
  ])("knows what may pass (%#)", async (answer, passing) => {
    answering(answer);
    expect((await failure(call("get", "/api/portfolio"))).passing).toBe(passing);
  });

  it("names the fields at fault", async () => {
    answering(
      problem(422, "invalid_request", [{ property: "name", code: "missing", message: "Field required" }]),
    );
    const error = await failure(call("post", "/api/brands", {}));
    expect(error.errors).toEqual([{ property: "name", code: "missing", message: "Field required" }]);
  });
});

it("reads all pages of a list, in order", async () => {
  const pages: Record<string, { items: number[]; next_cursor: string | null }> = {
    first: { items: [1, 2], next_cursor: "second" },
    second: { items: [3], next_cursor: null },
  };
  expect(await everyPage((cursor) => Promise.resolve(pages[cursor ?? "first"] ?? { items: [] }))).toEqual([
    1, 2, 3,
  ]);
});
