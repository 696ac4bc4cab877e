/** One brand in the portfolio. It is drawn again only when its own numbers change. */
/* The roles are said aloud: rows and cells laid out as grids lose them in some browsers. */
/* eslint-disable jsx-a11y/no-interactive-element-to-noninteractive-role */
import { memo } from "react";
import type { PortfolioItem } from "../../api/types";
import { href } from "../../app/router";
import { Bullet } from "../../charts/Bullet";
import { SpendBar } from "../../charts/SpendBar";
import { decimal, number, percent } from "../../format";
import { Badge, Icon } from "../../pieces/Icon";
import { STATUSES, pacing } from "../../words";

export const BrandRow = memo(function BrandRow({ item }: { item: PortfolioItem }) {
  const { words, tone } = STATUSES[item.status];
  return (
    <tr role="row" className={item.status === "paused" ? "paused" : undefined}>
      <th role="rowheader" scope="row" className="c-name">
        <a href={href(["brands", item.brand_id])}>{item.name}</a>
        <span className="id">{item.brand_id}</span>
      </th>
      <td role="cell" className="c-attention">
        <Badge tone={tone}>{words}</Badge>
        <span className="reason">{item.reason}</span>
      </td>
      <td role="cell" className="c-roas">
        <Roas roas={item.roas} />
      </td>
      <td role="cell" className="c-spend">
        <Spend item={item} />
      </td>
      <td role="cell" className="c-pacing">
        <Pace item={item} />
      </td>
      <td role="cell" className="c-lambda">
        <span className="label">λ </span>
        {decimal(item.lambda, 2)}
      </td>
    </tr>
  );
});

function Roas({ roas }: { roas: PortfolioItem["roas"] }) {
  const sure =
    roas.low !== null && roas.high !== null ? `${decimal(roas.low)} to ${decimal(roas.high)}` : null;
  return (
    <>
      <Bullet {...roas} below={roas.probability_below_target} />
      <span className="number">
        <span className="label">ROAS </span>
        <b>{decimal(roas.current)}</b>
        <span className="quiet">
          <span className="hidden"> now, target</span>
          <span aria-hidden="true"> / </span>
          {decimal(roas.target)}
        </span>
        <span className="under">{sure ?? `${roas.conversions} conversions`}</span>
      </span>
    </>
  );
}

function Spend({ item }: { item: PortfolioItem }) {
  const { tone } = pacing(item.pacing_index);
  const spent = number(item.spent);
  const reserved = item.reserved === null ? 0 : number(item.reserved);
  const budget = number(item.daily_budget);
  return (
    <>
      {item.daily_budget !== null && (
        <SpendBar
          spent={spent}
          reserved={reserved}
          budget={budget}
          expected={item.expected_spend === null ? null : number(item.expected_spend)}
          tone={tone}
        />
      )}
      <span className="number">
        <b>{decimal(spent)}</b>
        <span className="quiet">
          {item.daily_budget === null ? ` ${item.currency}` : ` of ${decimal(budget)}`}
        </span>
        <span className="under">
          {item.daily_budget === null ? "no budget" : item.currency}
          {number(item.overrun) > 0
            ? `, ${decimal(item.overrun)} over`
            : reserved > 0
              ? `, ${decimal(reserved)} reserved`
              : ""}
        </span>
      </span>
    </>
  );
}

export function Pace({ item }: { item: Pick<PortfolioItem, "pacing_index" | "daily_budget"> }) {
  const { pacing_index: index, daily_budget: budget } = item;
  if (budget === null) {
    return (
      <span className="quiet">
        <span aria-hidden="true">–</span>
        <span className="hidden">no budget, so no pace</span>
      </span>
    );
  }
  const { tone, words } = pacing(index);
  return (
    <span className={`pace ${tone}`}>
      <Icon name={tone} />
      <span>
        {index !== null && <b>{percent(index)} </b>}
        <span className="under">{words}</span>
      </span>
    </span>
  );
}
