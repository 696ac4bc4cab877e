/** Which model serves, how good it was on the latest days, how fresh its data is, and the way back. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { ApiError, call } from "../../api/client";
import { health, latestHours, models } from "../../api/queries";
import type { ModelItem } from "../../api/types";
import { decimal, moment, percent, significant } from "../../format";
import { Age, useNow } from "../../pieces/Age";
import { Confirm } from "../../pieces/Dialog";
import { Badge } from "../../pieces/Icon";
import { Empty, Reading } from "../../pieces/Reading";
import { degradedWords, type Tone } from "../../words";
import { calibrationWords, validationOf, type Target } from "./metrics";

const TARGET_WORDS: Record<Target, string> = {
  ctr: "Clicks per impression",
  cvr: "Conversions per click",
  revenue: "Revenue per impression",
  cost: "Cost per impression",
};

export function ModelView() {
  const serving = useQuery(health());
  const versions = useQuery(models());
  const [chosen, setChosen] = useState<ModelItem | null>(null);
  // What decides is what serves: the list may have been read a moment earlier.
  const inUse = serving.data?.model_version;
  const isCurrent = (item: ModelItem): boolean =>
    inUse === undefined ? item.current : item.version === inUse;
  const current = versions.data?.find(isCurrent);
  return (
    <>
      <div className="head">
        <h1>Model &amp; data</h1>
      </div>
      <div className="panels">
        <section className="panel">
          <h2>In use</h2>
          <Reading query={serving} what="health">
            {(data) => (
              <>
                <p className="big">{data.model_version}</p>
                {current && (
                  <p className="quiet">
                    Made {moment(current.created_at)}, from {moment(current.training_from)} to{" "}
                    {moment(current.training_to)}
                  </p>
                )}
                <h3>Degraded</h3>
                {data.degraded.length === 0 ? (
                  <Badge tone="good">Nothing</Badge>
                ) : (
                  <ul className="plain-list">
                    {data.degraded.map((code) => (
                      <li key={code}>
                        <Badge tone="warn">{degradedWords(code)}</Badge>
                      </li>
                    ))}
                  </ul>
                )}
              </>
            )}
          </Reading>
        </section>
        <Data />
        <section className="panel wide">
          <h2>How good it was on later days</h2>
          <Reading query={versions} what="versions">
            {() => <Skills item={current} />}
          </Reading>
        </section>
        <section className="panel wide flush">
          <h2>Versions</h2>
          <Reading query={versions} what="versions">
            {(items) => <Versions items={items} isCurrent={isCurrent} onRollback={setChosen} />}
          </Reading>
        </section>
      </div>
      {chosen && <Rollback item={chosen} onClose={() => setChosen(null)} />}
    </>
  );
}

const HOUR = 3_600_000;

function Data() {
  const now = useNow();
  const reading = useQuery(latestHours());
  return (
    <section className="panel">
      <h2>Data</h2>
      <Reading query={reading} what="latest events">
        {({ points }) => {
          const newest = points
            .filter((point) => point.impressions > 0 || Number(point.cost) > 0 || Number(point.revenue) > 0)
            .at(-1);
          if (!newest) {
            return (
              <Empty>
                <p>No event in the last two days.</p>
              </Empty>
            );
          }
          const end = Math.min(now, new Date(newest.at).getTime() + HOUR);
          const late = now - end > 2 * HOUR;
          return (
            <>
              <p className="big">
                <Age at={end} /> ago
              </p>
              <p className="quiet">
                The newest events are of the hour from {moment(newest.at)}:{" "}
                {newest.impressions.toLocaleString("en")} impressions,{" "}
                {significant(newest.value_per_impression)} {newest.currency} each.
              </p>
              <Badge tone={late ? "warn" : "good"}>{late ? "Nothing newer than two hours" : "Fresh"}</Badge>
            </>
          );
        }}
      </Reading>
    </section>
  );
}

function Skills({ item }: { item: ModelItem | undefined }) {
  const validation = item ? validationOf(item.metrics) : null;
  if (validation === null) {
    return (
      <Empty>
        <p>This version was not judged on later days. The next nightly run will be.</p>
      </Empty>
    );
  }
  return (
    <>
      <p className="quiet">
        On {moment(validation.from)} to {moment(validation.to)}, days it had not learned from, against{" "}
        {validation.champion}.
      </p>
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <div className="scroll" tabIndex={0} role="region" aria-label="Skill by target">
        <table>
          <thead>
            <tr>
              <th scope="col">Prediction</th>
              <th scope="col">Predicted over actual</th>
              <th scope="col" className="num">
                Explained
              </th>
              <th scope="col" className="num">
                Version before
              </th>
              <th scope="col" className="num">
                Lift
              </th>
            </tr>
          </thead>
          <tbody>
            {validation.skills.map((skill) => {
              const { tone, words } = calibrationWords(skill.calibration);
              const lift = skill.d2 !== null && skill.before !== null ? skill.d2 - skill.before : null;
              return (
                <tr key={skill.target}>
                  <th scope="row">{TARGET_WORDS[skill.target]}</th>
                  <td>
                    <Calibration value={skill.calibration} tone={tone} /> <b>{decimal(skill.calibration)}</b>{" "}
                    <span className="quiet">{words}</span>
                  </td>
                  <td className="num">{percent(skill.d2, 1)}</td>
                  <td className="num">{percent(skill.before, 1)}</td>
                  <td className="num">
                    {lift === null ? "–" : `${lift >= 0 ? "+" : "−"}${decimal(Math.abs(lift) * 100, 1)} pt`}
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </>
  );
}

/** A total against what happened: the middle is right, a half and the double are the ends. */
function Calibration({ value, tone }: { value: number | null; tone: Tone }) {
  const x = value === null || value <= 0 ? null : 60 + 58 * Math.max(-1, Math.min(1, Math.log2(value)));
  return (
    <svg className="bullet" width={120} height={16} viewBox="0 0 120 16" aria-hidden="true">
      <line className="axis" x1={2} x2={118} y1={8} y2={8} />
      <line className="target" x1={60} x2={60} y1={1} y2={15} />
      {x !== null && <circle className={`now ${tone}`} cx={x} cy={8} r={3.5} />}
    </svg>
  );
}

const MODEL_TONES: Record<string, Tone> = {
  current: "good",
  published: "info",
  retired: "quiet",
  rejected: "bad",
};

function Versions({
  items,
  isCurrent,
  onRollback,
}: {
  items: readonly ModelItem[];
  isCurrent: (item: ModelItem) => boolean;
  onRollback: (item: ModelItem) => void;
}) {
  if (items.length === 0) {
    return (
      <Empty>
        <p>Nothing was published yet: the packaged model serves.</p>
      </Empty>
    );
  }
  return (
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className="scroll" tabIndex={0} role="region" aria-label="Versions">
      <table>
        <thead>
          <tr>
            <th scope="col">Version</th>
            <th scope="col">Status</th>
            <th scope="col">Made</th>
            <th scope="col">Learned from</th>
            <th scope="col" className="num">
              Revenue explained
            </th>
            <th scope="col" className="num">
              Predicted over actual
            </th>
            <th scope="col">
              <span className="hidden">Change</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {items.map((item) => {
            const revenue = validationOf(item.metrics)?.skills.find((skill) => skill.target === "revenue");
            const current = isCurrent(item);
            const status = current ? "current" : item.status;
            return (
              <tr key={item.version} className={current ? "current" : undefined}>
                <th scope="row">{item.version}</th>
                <td>
                  <Badge tone={MODEL_TONES[status] ?? "quiet"}>{status}</Badge>
                </td>
                <td>{moment(item.created_at)}</td>
                <td>
                  {item.training_from === null
                    ? "–"
                    : `${moment(item.training_from)} to ${moment(item.training_to)}`}
                </td>
                <td className="num">{percent(revenue?.d2, 1)}</td>
                <td className="num">{decimal(revenue?.calibration)}</td>
                <td>
                  {!current && MODEL_TONES[item.status] !== "bad" && (
                    <button type="button" className="small" onClick={() => onRollback(item)}>
                      Roll back<span className="hidden"> to {item.version}</span>
                    </button>
                  )}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function Rollback({ item, onClose }: { item: ModelItem; onClose: () => void }) {
  const client = useQueryClient();
  const rollback = useMutation({
    mutationFn: () => call("post", "/api/models/{version}/rollback", { path: { version: item.version } }),
    onSuccess: async () => {
      await Promise.all([["models"], ["health"]].map((queryKey) => client.invalidateQueries({ queryKey })));
      onClose();
    },
  });
  const { error } = rollback;
  return (
    <Confirm
      title="Roll back?"
      action="Roll back"
      danger
      busy={rollback.isPending}
      error={error === null ? undefined : error instanceof ApiError ? error.message : String(error)}
      onConfirm={() => rollback.mutate()}
      onClose={onClose}
    >
      <p>
        <b>{item.version}</b>, made {moment(item.created_at)}, serves from the next bundle on. The next
        nightly run may publish another version again.
      </p>
    </Confirm>
  );
}
