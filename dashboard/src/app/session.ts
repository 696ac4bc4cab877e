/**
 * The bearer token, for this tab's session only.
 *
 * It comes in the address fragment, which no server ever sees, or is pasted; it lives in sessionStorage, is
 * taken out of the address at once, and is never logged.
 */
import { useSyncExternalStore } from "react";

const KEY = "adbid.token";

export type SessionState = "signed_out" | "signed_in" | "refused";

let state: SessionState = read() === null ? "signed_out" : "signed_in";
const listeners = new Set<() => void>();

function read(): string | null {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null; // the browser allows no storage: the token then lives as long as the page
  }
}

let unstored: string | null = null;

function change(next: SessionState): void {
  state = next;
  for (const listener of listeners) listener();
}

export const session = {
  /** The token that calls carry; null when there is none that opens anything. */
  token(): string | null {
    return state === "signed_in" ? (unstored ?? read()) : null;
  },
  state: (): SessionState => state,
  signIn(token: string): void {
    try {
      sessionStorage.setItem(KEY, token);
      unstored = null;
    } catch {
      unstored = token;
    }
    change("signed_in");
  },
  signOut(): void {
    unstored = null;
    try {
      sessionStorage.removeItem(KEY);
    } catch {
      // nothing was stored
    }
    change("signed_out");
  },
  /** `token` was refused: another one is asked for, unless there is one already. */
  refuse(token: string): void {
    if (session.token() === token) change("refused");
  },
  /** The token that was refused, to see whether the next one is the same caller's. */
  last: (): string | null => unstored ?? read(),
  subscribe: (listener: () => void): (() => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
};

export const useSession = (): SessionState => useSyncExternalStore(session.subscribe, session.state);

/** Whether a text has the form of a signed token. */
export const looksLikeToken = (text: string): boolean => /^[\w-]+\.[\w-]+\.[\w-]+$/.test(text);

/** Who a token is about, to be compared: not verified, which is the API's business. */
export function bearer(token: string | null): string {
  try {
    const payload = (token ?? "").split(".")[1] ?? "";
    const claims = JSON.parse(atob(payload.replace(/-/g, "+").replace(/_/g, "/"))) as Record<string, unknown>;
    return JSON.stringify([claims.sub, claims.scope, claims.brand_ids, claims.partner_ids]);
  } catch {
    return "";
  }
}

/** The token in a fragment like `#token=…` or `#/brands?token=…`, and the fragment without it. */
export function splitToken(fragment: string): { token: string | null; rest: string } {
  const found = /([#?&])token=([^&]*)/.exec(fragment);
  if (!found) return { token: null, rest: fragment };
  const [whole, before = "", token = ""] = found;
  const after = fragment.slice(found.index + whole.length);
  const head = fragment.slice(0, found.index);
  const tail = after.replace(/^&/, "");
  const rest = head + (tail ? before + tail : before === "#" ? "#" : "");
  return { token: token || null, rest: rest === "#" ? "" : rest };
}

/** Take a token out of the address, before anything else can see it there. */
export function takeTokenFromAddress(): void {
  const { token, rest } = splitToken(location.hash);
  if (token === null) return;
  history.replaceState(null, "", location.pathname + location.search + rest);
  if (looksLikeToken(token)) session.signIn(token);
}
