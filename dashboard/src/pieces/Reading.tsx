/** What a view shows of its data: the data, however old; or why there is none yet. */
import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { ApiError } from "../api/client";

interface Props<T> {
  query: UseQueryResult<T>;
  what: string;
  /** While there is no data, a panel of its own with this title. */
  title?: string;
  children: (data: T) => ReactNode;
}

export function Reading<T>({ query, what, title, children }: Props<T>) {
  if (query.data !== undefined) return children(query.data);
  const without = <Without query={query} what={what} />;
  if (title === undefined) return without;
  return (
    <section className="panel">
      <h2>{title}</h2>
      {without}
    </section>
  );
}

function Without({ query, what }: Pick<Props<unknown>, "what"> & { query: UseQueryResult }) {
  const { error } = query;
  if (error === null) return <Loading what={what} />;
  if (error instanceof ApiError && !error.passing) return <Missing what={what} error={error} />;
  return (
    <div className="empty" role="status">
      <p>
        {capital(what)} can't be read yet: {error.message}.
      </p>
      <p>It is tried again by itself.</p>
    </div>
  );
}

function Missing({ what, error }: { what: string; error: ApiError }) {
  if (error.code === "refused_token" || error.code === "signed_out") return <Loading what={what} />;
  const why =
    error.status === 404
      ? "There is nothing here for this token."
      : error.status === 403
        ? "This token's scopes don't allow it."
        : `${capital(error.message)}.`;
  return (
    <div className="empty" role="status">
      <p>
        No {what}. {why}
      </p>
    </div>
  );
}

export function Loading({ what }: { what: string }) {
  return (
    <div className="empty" role="status">
      <span className="spinner" aria-hidden="true" />
      <p>Reading {what}…</p>
    </div>
  );
}

export function Empty({ children }: { children: ReactNode }) {
  return <div className="empty">{children}</div>;
}

export const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
