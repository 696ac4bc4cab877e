/** All objects of a kind. */
import { useQuery } from "@tanstack/react-query";
import { list } from "../../api/queries";
import { href } from "../../app/router";
import { DASH, moment, plain } from "../../format";
import { Icon } from "../../pieces/Icon";
import { Empty, Reading } from "../../pieces/Reading";
import type { AnyKind } from "./kinds";

interface Props {
  kind: AnyKind;
  words: string;
  onWords: (words: string) => void;
}

type Row = Record<string, unknown>;

export function ItemList({ kind, words, onWords }: Props) {
  const reading = useQuery(list(kind.kind));
  return (
    <>
      <div className="tools">
        <p className="quiet">{kind.about}</p>
        <span className="spacer" />
        <input
          type="search"
          aria-label={`Find among ${kind.title.toLowerCase()}`}
          placeholder="Find"
          value={words}
          onChange={(event) => onWords(event.target.value)}
        />
        <a className="button primary" href={href(["setup", kind.kind], { new: 1 })}>
          <Icon name="add" /> New {kind.one}
        </a>
      </div>
      <Reading query={reading} what={kind.title.toLowerCase()}>
        {(items) => <Items kind={kind} items={items as Row[]} words={words} />}
      </Reading>
    </>
  );
}

const isAmount = (kind: AnyKind, column: string): boolean =>
  kind.fields.some(({ name, input }) => name === column && (input === "decimal" || input === "whole"));

const head = (kind: AnyKind, column: string): string =>
  kind.fields.find((field) => field.name === column)?.label ?? (column === "id" ? "Id" : "Changed");

function Items({ kind, items, words }: { kind: AnyKind; items: Row[]; words: string }) {
  const wanted = words.toLowerCase();
  const shown = items.filter((item) =>
    `${plain(item.name)} ${plain(item.id)}`.toLowerCase().includes(wanted),
  );
  if (items.length === 0) {
    return (
      <Empty>
        <p>No {kind.title.toLowerCase()} yet.</p>
      </Empty>
    );
  }
  return (
    // Scrolls sideways on a phone, so the keyboard must reach it.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className="scroll panel flush" tabIndex={0} role="region" aria-label={kind.title}>
      <table>
        <thead>
          <tr>
            {kind.columns.map((column) => (
              <th key={column} scope="col" className={isAmount(kind, column) ? "num" : undefined}>
                {head(kind, column)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {shown.map((item) => (
            <tr key={plain(item.id)}>
              {kind.columns.map((column) => (
                <td key={column} className={isAmount(kind, column) ? "num" : undefined}>
                  {column === "name" ? (
                    <a href={href(["setup", kind.kind, plain(item.id)])}>{plain(item.name)}</a>
                  ) : column === "updated_at" ? (
                    moment(plain(item[column]))
                  ) : (
                    cell(item[column])
                  )}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {shown.length === 0 && (
        <Empty>
          <p>Nothing matches “{words}”.</p>
        </Empty>
      )}
    </div>
  );
}

const cell = (value: unknown): string => plain(value) || DASH;
