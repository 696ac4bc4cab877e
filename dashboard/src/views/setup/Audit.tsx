/** Who changed an object, when, and what. */
import { useQuery } from "@tanstack/react-query";
import { audit } from "../../api/queries";
import type { AuditEntry } from "../../api/types";
import { moment } from "../../format";
import { Empty, Reading, capital } from "../../pieces/Reading";
import { actionWords } from "../../words";
import { show } from "./values";

export function Audit({ kind, id }: { kind: string; id: string }) {
  const reading = useQuery(audit(kind, id));
  return (
    <aside className="panel">
      <h2>Who changed it</h2>
      <Reading query={reading} what="changes">
        {(entries) =>
          entries.length === 0 ? (
            <Empty>
              <p>Nobody has changed it through the API.</p>
            </Empty>
          ) : (
            <ol className="audit">
              {entries.map((entry) => (
                <li key={entry.id}>
                  <p>
                    <b>{capital(actionWords(entry.action))}</b> by {entry.actor}
                    <time dateTime={entry.occurred_at}>{moment(entry.occurred_at)}</time>
                  </p>
                  <ul>
                    {differences(entry).map(([field, before, after]) => (
                      <li key={field}>
                        {field}: {before !== undefined && <del>{show(before)}</del>} →{" "}
                        <ins>{show(after)}</ins>
                      </li>
                    ))}
                  </ul>
                </li>
              ))}
            </ol>
          )
        }
      </Reading>
    </aside>
  );
}

const UNTOLD = new Set(["id", "version", "created_at", "updated_at"]);

/** The fields that an entry changed; none for what was made or removed as a whole. */
export function differences(
  entry: Pick<AuditEntry, "old_value" | "new_value">,
): [string, unknown, unknown][] {
  const { old_value: before, new_value: after } = entry;
  if (!before || !after) return [];
  return Object.keys({ ...before, ...after })
    .filter((name) => !UNTOLD.has(name) && JSON.stringify(before[name]) !== JSON.stringify(after[name]))
    .map((name) => [name, before[name], after[name]]);
}
