/** The bids of a bundle, one row each. */
import type { FieldError } from "../../api/client";
import { Icon } from "../../pieces/Icon";
import { BID_FIELDS, type BidDraft, type BidField } from "./bids";

interface Props {
  drafts: readonly BidDraft[];
  faults: readonly FieldError[];
  onChange: (drafts: BidDraft[]) => void;
}

const HEADS: Record<BidField, string> = {
  id: "Bid",
  brand_id: "Brand",
  partner_id: "Partner",
  slot_id: "Slot",
  pricing_model: "Priced",
  amount: "Amount",
  currency: "Currency",
  device_type: "Device",
  creative_type: "Creative",
};
const MODELS = ["CPM", "CPC", "CPA"];
const SUGGESTED: Partial<Record<BidField, readonly string[]>> = {
  device_type: ["mobile", "desktop", "tablet", "tv"],
  creative_type: ["banner", "video", "native"],
  currency: ["USD", "EUR", "GBP"],
};

export function BidRows({ drafts, faults, onChange }: Props) {
  const set = (place: number, name: BidField, value: string): void =>
    onChange(drafts.map((draft, at) => (at === place ? { ...draft, [name]: value } : draft)));
  return (
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className="scroll" tabIndex={0} role="region" aria-label="Bids">
      {Object.entries(SUGGESTED).map(([name, values]) => (
        <datalist key={name} id={`bid-${name}`}>
          {values.map((value) => (
            <option key={value} value={value} />
          ))}
        </datalist>
      ))}
      <table className="bids">
        <thead>
          <tr>
            {BID_FIELDS.map((name) => (
              <th key={name} scope="col">
                {HEADS[name]}
              </th>
            ))}
            <th scope="col">
              <span className="hidden">Remove</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {drafts.map((draft, place) => (
            <tr key={place}>
              {BID_FIELDS.map((name) => {
                const fault = faults.find((one) => one.property === `bids[${place}].${name}`);
                const common = {
                  "aria-label": `${HEADS[name]} of bid ${place + 1}`,
                  "aria-invalid": fault !== undefined,
                  title: fault?.message,
                  value: draft[name],
                };
                return (
                  <td key={name} className={`b-${name}`} data-label={HEADS[name]}>
                    {name === "pricing_model" ? (
                      <select {...common} onChange={(event) => set(place, name, event.target.value)}>
                        {MODELS.map((model) => (
                          <option key={model}>{model}</option>
                        ))}
                      </select>
                    ) : (
                      <input
                        {...common}
                        list={name === "id" || name === "amount" ? undefined : `bid-${name}`}
                        inputMode={name === "amount" ? "decimal" : undefined}
                        autoComplete="off"
                        spellCheck={false}
                        onChange={(event) => set(place, name, event.target.value)}
                      />
                    )}
                  </td>
                );
              })}
              <td>
                <button
                  type="button"
                  className="plain"
                  aria-label={`Remove bid ${place + 1}`}
                  disabled={drafts.length === 1}
                  onClick={() => onChange(drafts.filter((_, at) => at !== place))}
                >
                  <Icon name="close" />
                </button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
