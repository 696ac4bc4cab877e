/** Two people changed one object: both versions side by side, and nothing is lost. */
import { useState } from "react";
import { Dialog } from "../../pieces/Dialog";
import type { AnyKind } from "./kinds";
import { changed, merge, show, type Draft } from "./values";

interface Props {
  kind: AnyKind;
  base: Draft;
  mine: Draft;
  /** What is stored now; null where it was deleted. */
  theirs: Draft | null;
  busy: boolean;
  onSave: (entries: Draft) => void;
  /** Drop my entries and go on from what is stored. */
  onTake: () => void;
  onClose: () => void;
}

export function Conflict({ kind, base, mine, theirs, busy, onSave, onTake, onClose }: Props) {
  const [chosen, setChosen] = useState<Record<string, "mine" | "theirs">>({});
  if (theirs === null) {
    return (
      <Dialog title={`This ${kind.one} was deleted meanwhile`} onClose={onClose}>
        <p>Your entries are still in the form. To have it back, make a new {kind.one} of them.</p>
        <footer>
          <button type="button" className="primary" onClick={onClose}>
            Back to my entries
          </button>
        </footer>
      </Dialog>
    );
  }
  const { merged, conflicts, theirs: byThem } = merge(base, theirs, mine);
  const fields = kind.fields.filter(
    ({ name }) => byThem.includes(name) || changed(base, mine).includes(name),
  );
  const open = conflicts.filter((name) => chosen[name] === undefined);
  const result = { ...merged };
  for (const [name, side] of Object.entries(chosen))
    result[name] = (side === "mine" ? mine : theirs)[name] ?? "";

  return (
    <Dialog title="Somebody else saved this meanwhile" onClose={onClose} wide>
      <p>
        Nothing is lost.{" "}
        {conflicts.length === 0
          ? "You changed different fields, so both changes fit together."
          : "Where you both changed a field, choose which one holds."}
      </p>
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <div className="scroll" tabIndex={0} role="region" aria-label="Both versions">
        <table className="versions">
          <thead>
            <tr>
              <th scope="col">Field</th>
              <th scope="col">When you opened it</th>
              <th scope="col">Stored now</th>
              <th scope="col">Yours</th>
            </tr>
          </thead>
          <tbody>
            {fields.map(({ name, label }) => {
              const both = conflicts.includes(name);
              const side = (which: "mine" | "theirs", version: Draft) => (
                <td
                  className={
                    !both && result[name] === version[name] && base[name] !== version[name] ? "taken" : ""
                  }
                >
                  {both ? (
                    <label>
                      <input
                        type="radio"
                        name={`take-${name}`}
                        checked={chosen[name] === which}
                        onChange={() => setChosen({ ...chosen, [name]: which })}
                      />{" "}
                      {show(version[name])}
                    </label>
                  ) : (
                    show(version[name])
                  )}
                </td>
              );
              return (
                <tr key={name} className={both ? "clash" : undefined}>
                  <th scope="row">{label}</th>
                  <td>{show(base[name])}</td>
                  {side("theirs", theirs)}
                  {side("mine", mine)}
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
      <footer>
        <button type="button" onClick={onTake}>
          Drop mine
        </button>
        <span className="spacer" />
        <button type="button" onClick={onClose}>
          Back to my entries
        </button>
        <button
          type="button"
          className="primary"
          disabled={busy || open.length > 0}
          onClick={() => onSave(result)}
        >
          {open.length > 0 ? `Choose ${open.length} more` : busy ? "Saving…" : "Save both"}
        </button>
      </footer>
    </Dialog>
  );
}
