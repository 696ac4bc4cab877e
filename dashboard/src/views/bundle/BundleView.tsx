/** What would win, and why: bids are entered or pasted, and scored as a dry run. */
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { ApiError, call } from "../../api/client";
import { list } from "../../api/queries";
import type { Bid, Brand, Me, Partner, Slot } from "../../api/types";
import { may } from "../../app/may";
import { Icon } from "../../pieces/Icon";
import { BidRows } from "./BidRows";
import {
  bundleOf,
  draftBid,
  emptyBid,
  exampleBids,
  fitsEditor,
  readPasted,
  sentBid,
  type BidDraft,
} from "./bids";
import { Ranking } from "./Ranking";

/** What was entered, for when the view is opened again. */
let remembered: { drafts: BidDraft[]; text: string; pasting: boolean; at: string } | null = null;

export function BundleView({ who }: { who: Me }) {
  const [form, setForm] = useState(
    () => remembered ?? { drafts: [emptyBid(0)], text: "", pasting: false, at: "" },
  );
  const [fault, setFault] = useState<string | null>(null);
  const change = (next: Partial<typeof form>): void => {
    remembered = { ...form, ...next };
    setForm(remembered);
    setFault(null);
  };
  const scoring = useMutation({
    mutationFn: async ({ bids, at }: { bids: Bid[]; at: string }) => {
      const body = bundleOf(`dashboard-${Date.now()}`, bids, at);
      return { answer: (await call("post", "/api/score", { body })).data, bids };
    },
  });

  function bids(): Bid[] {
    return form.pasting ? readPasted(form.text) : form.drafts.map(sentBid);
  }

  function score(): void {
    try {
      scoring.mutate({ bids: bids(), at: form.at ? new Date(`${form.at}Z`).toISOString() : "" });
    } catch (error) {
      setFault((error as Error).message);
    }
  }

  /** From one way of entering to the other, with what was entered. */
  function turn(pasting: boolean): void {
    try {
      if (pasting) {
        change({ pasting, text: JSON.stringify({ bids: form.drafts.map(sentBid) }, null, 1) });
      } else if (form.text.trim() === "") {
        change({ pasting });
      } else {
        const read = readPasted(form.text);
        if (!fitsEditor(read))
          throw new Error("These bids hold more than the rows can show; they stay JSON.");
        change({ pasting, drafts: read.map(draftBid) });
      }
    } catch (error) {
      setFault((error as Error).message);
    }
  }

  const error = scoring.error instanceof ApiError ? scoring.error : null;
  return (
    <>
      <div className="head">
        <h1>Try a bundle</h1>
        <p className="quiet">A dry run: nothing is reserved, and nothing is counted.</p>
      </div>
      <form
        className="panel bundle"
        onSubmit={(event) => {
          event.preventDefault();
          score();
        }}
      >
        <div className="tools">
          <div className="chips" role="group" aria-label="How bids are entered">
            <button type="button" aria-pressed={!form.pasting} onClick={() => turn(false)}>
              Rows
            </button>
            <button type="button" aria-pressed={form.pasting} onClick={() => turn(true)}>
              JSON
            </button>
          </div>
          {may(who, "admin") && <Choices onExample={(drafts) => change({ drafts, pasting: false })} />}
          <span className="spacer" />
          <label>
            As of <span className="quiet">(UTC, empty: now)</span>{" "}
            <input
              type="datetime-local"
              value={form.at}
              onChange={(event) => change({ at: event.target.value })}
            />
          </label>
        </div>
        {form.pasting ? (
          <textarea
            aria-label="Bids as JSON"
            rows={12}
            spellCheck={false}
            value={form.text}
            placeholder='{"bids": [{"id": "b1", "brand_id": "…", "partner_id": "…", "slot_id": "…", "pricing_model": "CPA", "amount": "12.50", "currency": "USD"}]}'
            onChange={(event) => change({ text: event.target.value })}
          />
        ) : (
          <BidRows
            drafts={form.drafts}
            onChange={(drafts) => change({ drafts })}
            faults={error?.errors ?? []}
          />
        )}
        {(fault ?? error) && (
          <div className="fault" role="alert">
            {fault ?? `${error?.message ?? ""}.`}
            {!fault && error && (
              <ul>
                {error.errors.map((one) => (
                  <li key={`${one.property}${one.code}`}>
                    {one.property}: {one.message}
                  </li>
                ))}
              </ul>
            )}
          </div>
        )}
        <footer>
          {!form.pasting && (
            <button
              type="button"
              onClick={() =>
                change({ drafts: [...form.drafts, emptyBid(form.drafts.length, form.drafts.at(-1))] })
              }
            >
              <Icon name="add" /> Add a bid
            </button>
          )}
          <span className="spacer" />
          <button type="submit" className="primary" disabled={scoring.isPending}>
            {scoring.isPending ? "Scoring…" : "Score"}
          </button>
        </footer>
      </form>
      {scoring.data && <Ranking {...scoring.data} />}
    </>
  );
}

/** Ids to choose from, and bids to begin with, for those who may list them. */
function Choices({ onExample }: { onExample: (drafts: BidDraft[]) => void }) {
  const brands = useQuery(list("brands")).data as Brand[] | undefined;
  const partners = useQuery(list("partners")).data as Partner[] | undefined;
  const slots = useQuery(list("slots")).data as Slot[] | undefined;
  const example = brands && slots?.[0] ? exampleBids(brands, slots[0], partners?.[0]?.id ?? "") : [];
  return (
    <>
      {example.length > 0 && (
        <button type="button" onClick={() => onExample(example)}>
          Fill with an example
        </button>
      )}
      {Object.entries({ brand_id: brands, partner_id: partners, slot_id: slots }).map(([name, items]) => (
        <datalist key={name} id={`bid-${name}`}>
          {items?.map((item) => (
            <option key={item.id} value={item.id}>
              {item.name}
            </option>
          ))}
        </datalist>
      ))}
    </>
  );
}
