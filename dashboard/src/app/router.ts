/** The address holds the view: `#/brands/1l1007802?days=30`. Any static server can serve such an address. */
import { useSyncExternalStore } from "react";

export interface Route {
  segments: readonly string[];
  query: URLSearchParams;
}

/** The view that a fragment names. */
export function parse(fragment: string): Route {
  const [path = "", search = ""] = fragment.replace(/^#/, "").split("?", 2);
  return {
    segments: path.split("/").filter(Boolean).map(decode),
    query: new URLSearchParams(search),
  };
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** The fragment of a view; ids may hold any character. */
export function href(
  segments: readonly string[],
  query: Record<string, string | number | null> = {},
): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== "") search.set(name, String(value));
  }
  const text = search.toString();
  return `#/${segments.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

let current = parse(location.hash);
let fragment = location.hash;

function now(): Route {
  if (location.hash !== fragment) {
    fragment = location.hash;
    current = parse(fragment);
  }
  return current;
}

const changed = new Set<() => void>();

function subscribe(listener: () => void): () => void {
  changed.add(listener);
  addEventListener("hashchange", listener);
  return () => {
    changed.delete(listener);
    removeEventListener("hashchange", listener);
  };
}

export const useRoute = (): Route => useSyncExternalStore(subscribe, now);

/** Open another view. */
export function go(to: string): void {
  location.hash = to;
}

/** Change what the address says of this view, without a step in the history. */
export function amend(query: Record<string, string | number | null>): void {
  const route = now();
  const merged = { ...Object.fromEntries(route.query), ...query };
  history.replaceState(null, "", href(route.segments, merged));
  for (const listener of changed) listener();
}
