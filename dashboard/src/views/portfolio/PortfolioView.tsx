/* The roles are said aloud: rows and cells laid out as grids lose them in some browsers. */
/* eslint-disable jsx-a11y/no-redundant-roles */
/** Every brand on one page: is anything wrong, and why? Those that want a look come first. */
import { useQuery } from "@tanstack/react-query";
import { useDeferredValue, useMemo } from "react";
import { portfolio } from "../../api/queries";
import type { PortfolioItem } from "../../api/types";
import { amend } from "../../app/router";
import { Age } from "../../pieces/Age";
import { Icon } from "../../pieces/Icon";
import { Empty, Reading } from "../../pieces/Reading";
import { STATUSES, degradedWords } from "../../words";
import { BrandRow } from "./BrandRow";
import { COLUMNS, headline, matching, sorted, tally, type Column, type Order } from "./order";

const HEADS: Record<Column, string> = {
  attention: "Status",
  name: "Brand",
  roas: "ROAS now and target",
  spend: "Spent today",
  pacing: "Pace",
  lambda: "λ",
};
const SHOWN: readonly Column[] = ["name", "attention", "roas", "spend", "pacing", "lambda"];

export function PortfolioView({ query }: { query: URLSearchParams }) {
  const reading = useQuery(portfolio());
  return (
    <Reading query={reading} what="brands">
      {(data) => <Brands {...data} query={query} />}
    </Reading>
  );
}

function Brands({
  at,
  degraded,
  items,
  query,
}: {
  at: string;
  degraded: string[];
  items: PortfolioItem[];
  query: URLSearchParams;
}) {
  const words = query.get("find") ?? "";
  const wanted = query.get("status");
  const status = wanted !== null && wanted in STATUSES ? (wanted as PortfolioItem["status"]) : null;
  const order = orderOf(query);
  const deferred = useDeferredValue(words);
  const shown = useMemo(
    () => sorted(matching(items, deferred, status), { by: order.by, descending: order.descending }),
    [items, deferred, status, order.by, order.descending],
  );

  if (items.length === 0) {
    return (
      <Empty>
        <h1>No brands yet</h1>
        <p>A brand appears here as soon as it is made, under “Strategies &amp; brands” or through the API.</p>
      </Empty>
    );
  }
  return (
    <>
      <div className="head">
        <h1>Portfolio</h1>
        <p>{headline(items)}</p>
        <span className="spacer" />
        <p className="quiet">
          As of <Age at={at} /> ago
        </p>
      </div>
      {degraded.length > 0 && (
        <div className="notice warn" role="status">
          <strong>The portfolio lacks something.</strong> {degraded.map(degradedWords).join("; ")}.
        </div>
      )}
      <div className="tools">
        <div className="chips" role="group" aria-label="Show by status">
          <button type="button" aria-pressed={status === null} onClick={() => amend({ status: null })}>
            All <b>{items.length}</b>
          </button>
          {tally(items).map(([name, many]) => (
            <button
              key={name}
              type="button"
              className={STATUSES[name].tone}
              aria-pressed={status === name}
              onClick={() => amend({ status: status === name ? null : name })}
            >
              <Icon name={STATUSES[name].tone} />
              {STATUSES[name].words} <b>{many}</b>
            </button>
          ))}
        </div>
        <input
          type="search"
          aria-label="Find a brand by name or id"
          placeholder="Find a brand"
          value={words}
          onChange={(event) => amend({ find: event.target.value })}
        />
        <label className="sort-choice">
          Sort by{" "}
          <select value={order.by} onChange={(event) => amend({ sort: event.target.value, down: null })}>
            {COLUMNS.map((column) => (
              <option key={column} value={column}>
                {HEADS[column]}
              </option>
            ))}
          </select>
        </label>
      </div>
      <table className="brands" role="table" aria-label="Brands" aria-rowcount={shown.length + 1}>
        <thead role="rowgroup">
          <tr role="row">
            {SHOWN.map((column) => (
              <Head key={column} column={column} order={order} />
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {shown.map((item) => (
            <BrandRow key={item.brand_id} item={item} />
          ))}
        </tbody>
      </table>
      {shown.length === 0 && (
        <Empty>
          <p>No brand matches.</p>
          <button type="button" onClick={() => amend({ find: null, status: null })}>
            Show all
          </button>
        </Empty>
      )}
      <p className="legend foot">
        <span>ROAS: dot now, bar how sure (90 %), tick the target; the axis ends at twice the target.</span>
        <span>Spend: filled spent, pale reserved, tick where it was expected by now.</span>
        <span>Pace: spend over expected spend; 90 to 110 % is on pace.</span>
      </p>
    </>
  );
}

function Head({ column, order }: { column: Column; order: Order }) {
  const chosen = order.by === column;
  const descending = chosen && !order.descending;
  return (
    <th
      role="columnheader"
      scope="col"
      className={`c-${column}`}
      aria-sort={chosen ? (order.descending ? "descending" : "ascending") : undefined}
    >
      <button
        type="button"
        className="plain"
        onClick={() => amend({ sort: column, down: descending ? 1 : null })}
      >
        {HEADS[column]}
        {chosen && <Icon name="sort" className={order.descending ? "" : "up"} />}
      </button>
    </th>
  );
}

function orderOf(query: URLSearchParams): Order {
  const by = COLUMNS.find((column) => column === query.get("sort")) ?? "attention";
  return { by, descending: query.get("down") === "1" };
}
