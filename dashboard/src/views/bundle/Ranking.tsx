/** The answer: slot by slot, what won, what each score is made of, and why the rest did not win. */
import { useState } from "react";
import type { Bid, Result, Score } from "../../api/types";
import { ScoreBar } from "../../charts/ScoreBar";
import { Terms } from "../../charts/Terms";
import { decimal, percent, significant } from "../../format";
import { Badge, Icon } from "../../pieces/Icon";
import { Tip } from "../../pieces/Tip";
import { degradedWords, reasonWords, type Tone } from "../../words";
import { bySlot, parts } from "./bids";

const STATUS: Record<Result["status"], { tone: Tone; words: string }> = {
  won: { tone: "good", words: "Wins" },
  ranked: { tone: "info", words: "Outranked" },
  rejected: { tone: "bad", words: "Rejected" },
};

export function Ranking({ answer, bids }: { answer: Score; bids: readonly Bid[] }) {
  const known = new Map(bids.map((bid) => [bid.id, bid]));
  const most = Math.max(1e-12, ...answer.results.map((result) => parts(result)?.revenue ?? 0));
  return (
    <section aria-label="Ranking" className="ranking">
      <p className="quiet" role="status">
        {answer.results.length} {answer.results.length === 1 ? "bid" : "bids"} scored with model{" "}
        {answer.model_version}.
        {answer.degraded.length > 0 && ` Degraded: ${answer.degraded.map(degradedWords).join("; ")}.`}
      </p>
      {bySlot(answer.results).map(([slot, results]) => (
        <section key={slot} className="panel flush">
          <h2>Slot {slot}</h2>
          {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
          <div className="scroll" tabIndex={0} role="region" aria-label={`Bids for slot ${slot}`}>
            <table className="ranks">
              <thead>
                <tr>
                  <th scope="col">Rank</th>
                  <th scope="col">Bid</th>
                  <th scope="col">Outcome</th>
                  <th scope="col">Score, and what made it</th>
                  <th scope="col" className="num wide-only">
                    VPI
                  </th>
                  <th scope="col" className="num wide-only">
                    Quality
                  </th>
                  <th scope="col" className="num wide-only">
                    Cost
                  </th>
                  <th scope="col" className="num wide-only">
                    Revenue
                  </th>
                  <th scope="col" className="num">
                    ROAS
                  </th>
                  <th scope="col">
                    <span className="hidden">Details</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {results.map((result) => (
                  <Row key={result.bid_id} result={result} bid={known.get(result.bid_id)} most={most} />
                ))}
              </tbody>
            </table>
          </div>
        </section>
      ))}
      <p className="legend foot">
        <span>Score = strategy × weight × (revenue − λ × cost): filled is the score, pale what λ takes.</span>
        <span>All amounts are per impression.</span>
      </p>
    </section>
  );
}

function Row({ result, bid, most }: { result: Result; bid: Bid | undefined; most: number }) {
  const [open, setOpen] = useState(false);
  const { tone, words } = STATUS[result.status];
  const made = parts(result);
  const { quality } = result;
  return (
    <>
      <tr className={result.status}>
        <td>{result.rank ?? "–"}</td>
        <th scope="row">
          {result.bid_id}
          <span className="id">
            {bid ? `${bid.brand_id} · ${bid.pricing_model} ${String(bid.amount)}` : ""}
          </span>
        </th>
        <td className="r-outcome">
          <Badge tone={tone}>{words}</Badge>
          {result.reasons.length > 0 && (
            <span className="reason">{result.reasons.map(reasonWords).join("; ")}</span>
          )}
        </td>
        <td className="r-score">
          <Tip label={`Score ${significant(result.score)}, what made it`} more={<Made result={result} />}>
            {made && <ScoreBar {...made} most={most} />}
            <b>{significant(result.score)}</b>
          </Tip>
        </td>
        <td className="num wide-only">{significant(result.value_per_impression)}</td>
        <td className="num wide-only">
          <Tip
            label={`Quality ${decimal(quality.factor)}, its parts`}
            more={<QualityParts quality={quality} />}
          >
            × {decimal(quality.factor)}
          </Tip>
        </td>
        <td className="num wide-only">{significant(result.predicted_cost)}</td>
        <td className="num wide-only">{significant(result.predicted_revenue)}</td>
        <td className="num r-roas">{decimal(result.predicted_roas)}</td>
        <td>
          <button
            type="button"
            className="plain"
            aria-expanded={open}
            aria-label={`Details of ${result.bid_id}`}
            onClick={() => setOpen(!open)}
          >
            <Icon name="more" className={open ? "turned" : ""} />
          </button>
        </td>
      </tr>
      {open && (
        <tr className="details">
          <td colSpan={10}>
            <Details result={result} />
          </td>
        </tr>
      )}
    </>
  );
}

function QualityParts({ quality }: { quality: Result["quality"] }) {
  return (
    <dl>
      {(["placement", "partner", "device", "creative", "hour"] as const).map((name) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>× {decimal(quality[name], 3)}</dd>
        </div>
      ))}
    </dl>
  );
}

/** The score's formula with this bid's numbers in it. */
function Made({ result }: { result: Result }) {
  const { strategy } = result;
  return (
    <dl>
      <div>
        <dt>revenue</dt>
        <dd>{significant(result.predicted_revenue)}</dd>
      </div>
      <div>
        <dt>− λ × cost</dt>
        <dd>
          {decimal(result.lambda, 3)} × {significant(result.predicted_cost)}
        </dd>
      </div>
      <div>
        <dt>strategy {strategy?.name ?? ""}</dt>
        <dd>× {decimal(strategy?.multiplier)}</dd>
      </div>
      <div>
        <dt>portfolio weight</dt>
        <dd>× {decimal(result.portfolio_weight, 3)}</dd>
      </div>
      <div className="sum">
        <dt>score</dt>
        <dd>{significant(result.score)}</dd>
      </div>
    </dl>
  );
}

function Details({ result }: { result: Result }) {
  const explanation = result.explanation ?? null;
  return (
    <div className="two">
      <div>
        <h3>Response</h3>
        <dl className="pairs">
          <dt>Value per impression</dt>
          <dd>{significant(result.value_per_impression)}</dd>
          <dt>Click-through rate</dt>
          <dd>{percent(result.predicted_ctr, 2)}</dd>
          <dt>Conversions per click</dt>
          <dd>{percent(result.predicted_cvr, 2)}</dd>
        </dl>
        <h3>Quality × {decimal(result.quality.factor, 3)}</h3>
        <QualityParts quality={result.quality} />
        <h3>How the score comes about</h3>
        <Made result={result} />
      </div>
      <div>
        <h3>What moves the predicted revenue</h3>
        {explanation === null ? (
          <p className="quiet">There is nothing to take apart for this bid.</p>
        ) : (
          <Terms
            terms={[
              ...explanation.terms.map((term) => ({
                name: term.words,
                ...(term.value !== null && { note: significant(term.value) }),
                value: term.contribution,
              })),
              { name: "everything else", value: explanation.others },
            ]}
          />
        )}
      </div>
    </div>
  );
}
