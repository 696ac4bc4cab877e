/** What people changed about the brand and its strategy. */
import type { History } from "../../api/types";
import { moment } from "../../format";
import { Empty, capital } from "../../pieces/Reading";
import { actionWords } from "../../words";
import { show } from "../setup/values";

export function Changes({ history }: { history: History }) {
  return (
    <section className="panel wide">
      <h2>Changes</h2>
      {history.changes.length === 0 ? (
        <Empty>
          <p>Nobody changed this brand or its strategy in this time.</p>
        </Empty>
      ) : (
        <ol className="audit">
          {history.changes.map((change) => (
            <li key={`${change.at}${change.kind}`}>
              <p>
                <b>
                  {capital(change.kind)} {actionWords(change.action)}
                </b>
                {change.actor && ` by ${change.actor}`}
                <time dateTime={change.at}>{moment(change.at, history.timezone)}</time>
              </p>
              {change.action === "replace" && (
                <ul>
                  {Object.entries(change.changed).map(([field, [before, after]]) => (
                    <li key={field}>
                      {field}: <del>{show(before)}</del> → <ins>{show(after)}</ins>
                    </li>
                  ))}
                </ul>
              )}
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}
