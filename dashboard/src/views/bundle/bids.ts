/** Bids as they are entered, and as they are sent. */
import { plain } from "../../format";
import type { Bid, BundleRequest, Result } from "../../api/types";

export const BID_FIELDS = [
  "id",
  "brand_id",
  "partner_id",
  "slot_id",
  "pricing_model",
  "amount",
  "currency",
  "device_type",
  "creative_type",
] as const;

export type BidField = (typeof BID_FIELDS)[number];
export type BidDraft = Record<BidField, string>;

/** More are scored too, but not explained. */
export const EXPLAINED_AT_MOST = 100;

export function emptyBid(place: number, like?: BidDraft): BidDraft {
  return {
    brand_id: "",
    partner_id: "",
    slot_id: "",
    pricing_model: "CPC",
    amount: "0.50",
    currency: "USD",
    device_type: "mobile",
    creative_type: "",
    ...like,
    id: `b${place + 1}`,
  };
}

/** The bid without what was left empty. */
export function sentBid(draft: BidDraft): Bid {
  return Object.fromEntries(
    Object.entries(draft).filter(([, value]) => value.trim() !== ""),
  ) as unknown as Bid;
}

/** Bids of a few brands for one slot, to begin with. */
export function exampleBids(
  brands: readonly { id: string; currency: string; status: string }[],
  slot: { id: string; partner_id: string | null; currency: string },
  partner: string,
): BidDraft[] {
  const amounts = { CPA: "12.50", CPC: "0.40", CPM: "8.00" };
  return brands
    .filter((brand) => brand.status === "active" && brand.currency === slot.currency)
    .slice(0, 5)
    .map((brand, place) => {
      const model = (["CPA", "CPC", "CPM"] as const)[place] ?? "CPC";
      return {
        ...emptyBid(place),
        brand_id: brand.id,
        partner_id: slot.partner_id ?? partner,
        slot_id: slot.id,
        pricing_model: model,
        amount: amounts[model],
        currency: slot.currency,
      };
    });
}

/** What is sent: always a dry run, so that nothing is reserved or counted. `at` is RFC 3339 or "". */
export function bundleOf(id: string, bids: readonly Bid[], at: string): BundleRequest {
  return {
    id,
    dry_run: true,
    explain: bids.length <= EXPLAINED_AT_MOST,
    bids: [...bids],
    ...(at && { at }),
  };
}

/** A pasted bundle: a whole request, a list of bids, or one bid. Raises an Error with what is wrong. */
export function readPasted(text: string): Bid[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`That is no JSON: ${(error as Error).message}`);
  }
  const bids = Array.isArray(value)
    ? value
    : isObject(value) && Array.isArray(value.bids)
      ? value.bids
      : [value];
  if (bids.length === 0) throw new Error("There are no bids in it.");
  const wrong = bids.findIndex((bid) => !isObject(bid));
  if (wrong >= 0) throw new Error(`Bid ${wrong + 1} is no object.`);
  return bids as Bid[];
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A sent bid back in the editor; what the editor has no field for is not kept there. */
export function draftBid(bid: Bid): BidDraft {
  return Object.fromEntries(BID_FIELDS.map((name) => [name, plain(bid[name])])) as BidDraft;
}

/** Whether the editor can hold the bids without losing anything. */
export const fitsEditor = (bids: readonly Bid[]): boolean =>
  bids.length <= 20 &&
  bids.every((bid) => Object.keys(bid).every((name) => (BID_FIELDS as readonly string[]).includes(name)));

/** score = multiplier · (1 + ν) · (revenue − λ · cost): its two parts, null where it can't be computed. */
export function parts(result: Result): { revenue: number; price: number } | null {
  const {
    predicted_revenue: revenue,
    predicted_cost: cost,
    lambda,
    portfolio_weight: weight,
    strategy,
  } = result;
  if (revenue === null || cost === null || lambda === null || weight === null || strategy === null)
    return null;
  const scale = strategy.multiplier * weight;
  return { revenue: scale * revenue, price: scale * lambda * cost };
}

/** Results slot by slot, in the order of the answer. */
export function bySlot(results: readonly Result[]): [string, Result[]][] {
  const slots = new Map<string, Result[]>();
  for (const result of results) {
    const found = slots.get(result.slot_id);
    if (found) found.push(result);
    else slots.set(result.slot_id, [result]);
  }
  return [...slots];
}
