/** One typed call of the API. Every failure is an ApiError that says what to do about it. */
import { session } from "../app/session";
import type { Answer, Method, Paths, Problem, Query, Sent } from "./types";

export type FieldError = Problem["errors"][number];

/**
 * `status` 0: no answer came. `refused`: the token no longer opens anything, so another one is asked for.
 * `errors` names each field at fault.
 */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly code = "",
    readonly errors: readonly FieldError[] = [],
  ) {
    super(message);
    this.name = "ApiError";
  }

  /** The API is away or busy: the same call may go through later. */
  get passing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

export interface Call<P extends keyof Paths, M extends Method> {
  path?: Record<string, string>;
  query?: Query<P, M>;
  body?: Sent<P, M>;
  ifMatch?: string;
  signal?: AbortSignal;
  /** Another token than the session's: one that is being tried. */
  token?: string;
}

export interface Answered<T> {
  data: T;
  /** The version of the object, to be sent back with a change of it. */
  etag: string;
}

const PATIENCE_MS = 20_000;

/** The answer with its `ETag`. Raises ApiError. */
export async function call<P extends keyof Paths, M extends Method>(
  method: M,
  path: P,
  how: Call<P, M> = {},
): Promise<Answered<Answer<P, M>>> {
  const token = how.token ?? session.token();
  if (token === null) throw new ApiError(401, "you are signed out", "signed_out");
  const sent: unknown = how.body;
  const headers = new Headers({ accept: "application/json", authorization: `Bearer ${token}` });
  if (sent !== undefined) headers.set("content-type", "application/json");
  if (how.ifMatch) headers.set("if-match", how.ifMatch);

  const patience = AbortSignal.timeout(PATIENCE_MS);
  const request: RequestInit = {
    method: method.toUpperCase(),
    headers,
    cache: "no-store",
    credentials: "omit",
    signal: how.signal ? AbortSignal.any([how.signal, patience]) : patience,
    ...(sent !== undefined && { body: JSON.stringify(sent) }),
  };
  let response: Response;
  try {
    response = await fetch(address(path, how.path, how.query), request);
  } catch (error) {
    if (how.signal?.aborted) throw error;
    throw new ApiError(0, patience.aborted ? "the API takes too long to answer" : "the API does not answer");
  }
  if (!response.ok) {
    const error = await failure(response);
    if (error.code === "refused_token" && how.token === undefined) session.refuse(token);
    throw error;
  }
  const data: unknown = response.status === 204 ? undefined : await response.json();
  return { data: data as Answer<P, M>, etag: response.headers.get("etag") ?? "" };
}

/** Where a path with its parameters leads, e.g. `/api/brands/%23N%2FA?limit=5`. */
export function address(path: string, parameters: Record<string, string> = {}, query: object = {}): string {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(parameters[name] ?? ""));
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null) search.set(name, String(value));
  }
  const text = search.toString();
  return text ? `${filled}?${text}` : filled;
}

async function failure(response: Response): Promise<ApiError> {
  const kind = response.headers.get("content-type") ?? "";
  // What API Gateway answers by itself is no problem document: there, 401 and 403 are about the token alone.
  if (!kind.includes("problem+json")) {
    if (response.status === 401 || response.status === 403) {
      return new ApiError(response.status, "the token was refused", "refused_token");
    }
    return new ApiError(response.status, `the API answered ${response.status}`);
  }
  const problem = (await response.json()) as Problem;
  const code = response.status === 401 ? "refused_token" : (problem.type.split(":").pop() ?? "");
  return new ApiError(response.status, problem.detail, code, problem.errors);
}

interface Page<T> {
  items: T[];
  next_cursor?: string | null;
}

/** All pages of a list. */
export async function everyPage<T>(page: (cursor: string | null) => Promise<Page<T>>): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | null = null;
  do {
    const answer: Page<T> = await page(cursor);
    items.push(...answer.items);
    cursor = answer.next_cursor ?? null;
  } while (cursor !== null);
  return items;
}
