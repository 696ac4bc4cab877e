/** One brand: how it got here, hour by hour and day by day, and what another target would do. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { brandHistory, portfolio, portfolioItem } from "../../api/queries";
import type { Me, PortfolioItem } from "../../api/types";
import { may } from "../../app/may";
import { amend, href } from "../../app/router";
import { chance, decimal, money, number } from "../../format";
import { Age } from "../../pieces/Age";
import { Badge } from "../../pieces/Icon";
import { Reading } from "../../pieces/Reading";
import { STATUSES } from "../../words";
import { Pace } from "../portfolio/BrandRow";
import { Changes } from "./Changes";
import { DaySpend, LambdaByDay, RoasByDay } from "./HistoryCharts";
import { VpiHeat } from "./VpiHeat";
import { WhatIf } from "./WhatIf";

const SPANS = [7, 14, 30, 90];

export function BrandView({ brandId, query, who }: { brandId: string; query: URLSearchParams; who: Me }) {
  const days = SPANS.find((span) => String(span) === query.get("days")) ?? 30;
  // Until it is read, what the whole list last said of it.
  const listed = useQueryClient().getQueryData(portfolio().queryKey)?.items;
  const item = useQuery(portfolioItem(brandId)).data ?? listed?.find((one) => one.brand_id === brandId);
  const history = useQuery(brandHistory(brandId, days));
  return (
    <>
      <p className="crumbs">
        <a href={href([])}>Portfolio</a> <span aria-hidden="true">/</span> {item?.name ?? brandId}
      </p>
      <div className="head">
        <h1>{item?.name ?? brandId}</h1>
        {item && <Badge tone={STATUSES[item.status].tone}>{STATUSES[item.status].words}</Badge>}
        <span className="spacer" />
        {may(who, "admin") && (
          <a className="button" href={href(["setup", "brands", brandId])}>
            Edit brand
          </a>
        )}
      </div>
      {item && <p className="why">{item.reason}</p>}
      {item && <Now item={item} />}
      <div className="tools">
        <div className="chips" role="group" aria-label="How far back">
          {SPANS.map((span) => (
            <button
              key={span}
              type="button"
              aria-pressed={span === days}
              onClick={() => amend({ days: span })}
            >
              {span} days
            </button>
          ))}
        </div>
        {history.isPlaceholderData && <span className="quiet">reading…</span>}
      </div>
      <Reading query={history} what="history">
        {(data) => (
          <div className="panels">
            <RoasByDay history={data} />
            <DaySpend history={data} />
            <LambdaByDay history={data} />
            <WhatIf brandId={brandId} target={data.target_roas} />
            <VpiHeat
              brandId={brandId}
              timezone={data.timezone}
              currency={data.currency}
              days={Math.min(days, 14)}
            />
            <Changes history={data} />
          </div>
        )}
      </Reading>
    </>
  );
}

function Now({ item }: { item: PortfolioItem }) {
  const { roas, currency } = item;
  const sure = roas.low !== null && roas.high !== null;
  return (
    <dl className="tiles">
      <div>
        <dt>ROAS, {roas.window_days} days</dt>
        <dd>
          {decimal(roas.current)} <span className="quiet">/ {decimal(roas.target)}</span>
        </dd>
        <dd className="under">
          {sure
            ? `${decimal(roas.low)} to ${decimal(roas.high)}, 90 % sure`
            : `${roas.conversions} conversions`}
        </dd>
      </div>
      <div>
        <dt>Chance it is below target</dt>
        <dd>{chance(roas.probability_below_target)}</dd>
        <dd className="under">from {roas.conversions} conversions</dd>
      </div>
      <div>
        <dt>Spent today</dt>
        <dd>
          {decimal(item.spent)}{" "}
          <span className="quiet">
            / {item.daily_budget === null ? "no budget" : money(item.daily_budget, currency)}
          </span>
        </dd>
        <dd className="under">
          {item.reserved === null ? "reservations not known" : `${money(item.reserved, currency)} reserved`}
          {number(item.overrun) > 0 && `, ${money(item.overrun, currency)} over`}
        </dd>
      </div>
      <div>
        <dt>Pace</dt>
        <dd>
          <Pace item={item} />
        </dd>
        <dd className="under">
          {item.expected_spend === null
            ? "nothing is expected"
            : `${money(item.expected_spend, currency)} expected by now`}
        </dd>
      </div>
      <div>
        <dt>λ, price of cost</dt>
        <dd>{decimal(item.lambda, 3)}</dd>
        <dd className="under">
          ROAS ν {decimal(item.nu, 3)}, budget μ {decimal(item.mu, 3)}
        </dd>
      </div>
      <div>
        <dt>As of</dt>
        <dd>
          {item.as_of === null ? (
            "–"
          ) : (
            <>
              <Age at={item.as_of} /> ago
            </>
          )}
        </dd>
        <dd className="under">{item.timezone}</dd>
      </div>
    </dl>
  );
}
