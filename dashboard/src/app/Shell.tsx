/** The frame of every view: where one may go, how fresh what one sees is, and what the product does without. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState, useSyncExternalStore, type ReactNode } from "react";
import { ApiError } from "../api/client";
import { health } from "../api/queries";
import type { Me } from "../api/types";
import { moment, span, time } from "../format";
import { Age, useNow } from "../pieces/Age";
import { degradedWords } from "../words";
import { href } from "./router";
import { session } from "./session";
import { useTheme } from "./theme";

interface Props {
  who: Me;
  views: readonly { path: string; name: string; brief: string }[];
  current: string | null;
  children: ReactNode;
}

export function Shell({ who, views, current, children }: Props) {
  const serving = useQuery(health());
  const degraded = serving.data?.degraded ?? [];
  return (
    <>
      <a className="skip" href="#content" onClick={skip}>
        Skip to the content
      </a>
      <header className="top">
        <a className="name" href={href([])}>
          <svg viewBox="0 0 32 32" width={22} height={22} aria-hidden="true">
            <rect width="32" height="32" rx="7" />
            <path d="M7 22l6-8 5 4 7-10" />
          </svg>
          <span>
            AdBid<span className="wide-only"> Optimizer</span>
          </span>
        </a>
        <nav aria-label="Views">
          {views.map((view) => (
            <a
              key={view.path}
              href={href(view.path ? [view.path] : [])}
              aria-current={view.path === current ? "page" : undefined}
            >
              <span className="wide-only">{view.name}</span>
              <span className="narrow-only">{view.brief}</span>
            </a>
          ))}
        </nav>
        <Account who={who} />
      </header>
      <Away />
      {degraded.length > 0 && (
        <div className="notice warn" role="status">
          <strong>Running degraded.</strong> {degraded.map(degradedWords).join("; ")}.
        </div>
      )}
      <main id="content" tabIndex={-1}>
        {children}
      </main>
    </>
  );
}

/** The address holds the view, so the link to the content must not change it. */
function skip(event: { preventDefault: () => void }): void {
  event.preventDefault();
  document.getElementById("content")?.focus();
}

/** Says that the API is away, and how old what is still shown is. */
function Away() {
  const client = useQueryClient();
  const trouble = useTrouble();
  if (trouble === null) return null;
  const { message, since } = trouble;
  return (
    <div className="notice bad" role="alert">
      <strong>Not up to date:</strong> {message}.{" "}
      {since > 0 ? (
        <>
          What you see was read at {time(since, undefined, true)}, <Age at={since} /> ago.{" "}
        </>
      ) : null}
      It is tried again by itself.{" "}
      <button
        type="button"
        className="plain small"
        onClick={() => void client.refetchQueries({ type: "active" })}
      >
        Try now
      </button>
    </div>
  );
}

/** The oldest data on the page whose last reading failed. */
function useTrouble(): { message: string; since: number } | null {
  const cache = useQueryClient().getQueryCache();
  const text = useSyncExternalStore(
    (listener) => cache.subscribe(listener),
    () => {
      let found: { message: string; since: number } | null = null;
      for (const query of cache.getAll()) {
        const { error, dataUpdatedAt, fetchFailureCount } = query.state;
        if (!query.isActive() || (fetchFailureCount === 0 && error === null)) continue;
        if (error instanceof ApiError && error.passing) {
          const older =
            dataUpdatedAt > 0 && (found === null || found.since === 0 || dataUpdatedAt < found.since);
          if (found === null || older) found = { message: error.message, since: dataUpdatedAt };
        }
      }
      return found === null ? "" : JSON.stringify(found); // equal text is the same snapshot
    },
  );
  return text === "" ? null : (JSON.parse(text) as { message: string; since: number });
}

const THEME_WORDS = { system: "as the system", light: "light", dark: "dark" };

function Account({ who }: { who: Me }) {
  const [theme, nextTheme] = useTheme();
  const [open, setOpen] = useState(false);
  return (
    <div className="account">
      <Ending at={who.expires_at} />
      <button
        type="button"
        className="plain"
        onClick={nextTheme}
        aria-label={`Colours: ${THEME_WORDS[theme]}. Change`}
        title={`Colours: ${THEME_WORDS[theme]}`}
      >
        <svg className="icon" viewBox="0 0 16 16" width={16} height={16} aria-hidden="true">
          <path d="M8 1.5a6.5 6.5 0 100 13z" className="filled" />
          <circle cx="8" cy="8" r="6.5" />
        </svg>
      </button>
      {/* It only hears that the focus has left it. */}
      {/* eslint-disable-next-line jsx-a11y/no-static-element-interactions */}
      <div
        className="menu"
        onBlur={(event) => event.currentTarget.contains(event.relatedTarget) || setOpen(false)}
      >
        <button type="button" className="plain" aria-expanded={open} onClick={() => setOpen(!open)}>
          {who.subject}
        </button>
        {open && (
          <div className="menu-box">
            <dl>
              <dt>May</dt>
              <dd>{who.scopes.join(", ") || "nothing"}</dd>
              <Tenants name="Brands" ids={who.brand_ids} all={who.scopes.includes("admin")} />
              <Tenants name="Partners" ids={who.partner_ids} all={who.scopes.includes("admin")} />
              <dt>Until</dt>
              <dd>{moment(who.expires_at)}</dd>
            </dl>
            <button type="button" onClick={() => session.signOut()}>
              Sign out
            </button>
          </div>
        )}
      </div>
    </div>
  );
}

function Tenants({ name, ids, all }: { name: string; ids: readonly string[]; all: boolean }) {
  if (!all && ids.length === 0) return null;
  return (
    <>
      <dt>{name}</dt>
      <dd>{all || ids.includes("*") ? "all" : ids.join(", ")}</dd>
    </>
  );
}

const SOON = 10 * 60;

function Ending({ at }: { at: string }) {
  const left = (new Date(at).getTime() - useNow()) / 1000;
  if (!(left < SOON)) return null;
  return <span className="ending">{left > 0 ? `token ends in ${span(left)}` : "token has ended"}</span>;
}
