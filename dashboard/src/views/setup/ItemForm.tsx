/** One object: make it, change it, remove it. A change carries the version it was made from. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState, type SubmitEvent } from "react";
import { ApiError, call, type Answered, type FieldError } from "../../api/client";
import { list, one } from "../../api/queries";
import { go, href } from "../../app/router";
import { plain } from "../../format";
import { Confirm } from "../../pieces/Dialog";
import { Reading } from "../../pieces/Reading";
import { Audit } from "./Audit";
import { Conflict } from "./Conflict";
import { FieldInput } from "./FieldInput";
import type { AnyKind } from "./kinds";
import { bodyOf, changed, draftOf, forget, keep, kept, type Draft } from "./values";

type Stored = Record<string, unknown>;
/** The generic form sends what its fields say; the server checks it all. */
type AnyBody = never;

interface Props {
  kind: AnyKind;
  id: string | null;
  copyOf: string | null;
}

export function ItemForm({ kind, id, copyOf }: Props) {
  const source = id ?? copyOf;
  const reading = useQuery({ ...one(kind.kind, source ?? ""), enabled: source !== null });
  const form = (stored?: Answered<Stored>) => (
    <Form
      key={id ?? "new"}
      kind={kind}
      id={id}
      stored={id === null ? undefined : stored}
      from={stored?.data}
    />
  );
  return (
    <>
      <p className="crumbs">
        <a href={href(["setup", kind.kind])}>{kind.title}</a> <span aria-hidden="true">/</span>{" "}
        {id ?? `New ${kind.one}`}
      </p>
      {source === null ? (
        form()
      ) : (
        <Reading query={reading} what={kind.one}>
          {(stored) => form(stored)}
        </Reading>
      )}
    </>
  );
}

interface FormProps {
  kind: AnyKind;
  id: string | null;
  stored: Answered<Stored> | undefined;
  from: Stored | undefined;
}

interface Fault {
  text: string;
  errors: readonly FieldError[];
}

function Form({ kind, id, stored, from }: FormProps) {
  const client = useQueryClient();
  const place = `${kind.kind}/${id ?? ""}`;
  const [opened, setOpened] = useState(
    () => kept(place) ?? { base: draftOf(kind, from), draft: draftOf(kind, from), etag: stored?.etag ?? "" },
  );
  const [newId, setNewId] = useState("");
  const [busy, setBusy] = useState(false);
  const [fault, setFault] = useState<Fault | null>(null);
  const [saved, setSaved] = useState(false);
  const [theirs, setTheirs] = useState<Answered<Stored> | "deleted" | null>(null);
  const [deleting, setDeleting] = useState(false);
  const { base, draft, etag } = opened;
  const touched = changed(base, draft);
  const dirty = touched.length > 0;

  // While nothing is entered, the form follows what is stored.
  const follow = stored !== undefined && !dirty && stored.etag !== etag;
  if (follow) {
    const now = draftOf(kind, stored.data);
    setOpened({ base: now, draft: now, etag: stored.etag });
  }
  useEffect(() => {
    if (dirty) keep(place, opened);
    else forget(place);
  }, [dirty, opened, place]);

  function set(name: string, value: string): void {
    setSaved(false);
    setOpened({ ...opened, draft: { ...draft, [name]: value } });
  }

  async function refresh(): Promise<void> {
    const stale = [["list", kind.kind], ["one", kind.kind], ["audit", kind.one], ["portfolio"], ["history"]];
    await Promise.all(stale.map((queryKey) => client.invalidateQueries({ queryKey })));
  }

  async function save(entries: Draft, version: string): Promise<void> {
    setBusy(true);
    setFault(null);
    try {
      const body = bodyOf(kind, entries, id ?? newId.trim()) as AnyBody;
      const path = id === null ? null : { id };
      const answer = (
        path
          ? await call("put", `/api/${kind.kind}/{id}`, { path, body, ifMatch: version })
          : await call("post", `/api/${kind.kind}`, { body })
      ) as Answered<Stored>;
      const now = draftOf(kind, answer.data);
      forget(place);
      setTheirs(null);
      setOpened({ base: now, draft: now, etag: answer.etag });
      setSaved(true);
      client.setQueryData(["one", kind.kind, plain(answer.data.id)], answer);
      if (id === null) go(href(["setup", kind.kind, plain(answer.data.id)]));
      void refresh();
    } catch (error) {
      await failed(error);
    } finally {
      setBusy(false);
    }
  }

  async function failed(error: unknown): Promise<void> {
    if (!(error instanceof ApiError)) throw error;
    if (id !== null && (error.status === 412 || error.status === 404)) {
      try {
        setTheirs(await call("get", `/api/${kind.kind}/{id}`, { path: { id } }));
      } catch (again) {
        if (again instanceof ApiError && again.status === 404) setTheirs("deleted");
        else
          setFault({
            text: "Somebody changed it meanwhile, and what is stored now can't be read.",
            errors: [],
          });
      }
      return;
    }
    setFault({ text: error.message, errors: error.errors });
  }

  async function remove(): Promise<void> {
    setBusy(true);
    setFault(null);
    try {
      await call("delete", `/api/${kind.kind}/{id}`, { path: { id: id ?? "" }, ifMatch: etag });
      forget(place);
      await refresh();
      go(href(["setup", kind.kind]));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      const text =
        error.status === 412 ? "Somebody changed it meanwhile: look at it again first." : error.message;
      setFault({ text, errors: [] });
    } finally {
      setBusy(false);
    }
  }

  const known = new Set(kind.fields.map((field) => field.name));
  const elsewhere =
    fault?.errors.filter((error) => error.property !== "id" && !known.has(error.property)) ?? [];
  return (
    <div className="editor">
      <form
        className="panel form"
        noValidate
        onSubmit={(event: SubmitEvent) => {
          event.preventDefault();
          void save(draft, etag);
        }}
      >
        <h2>{id === null ? `New ${kind.one}` : draft.name || id}</h2>
        <Choices />
        {id === null && (
          <FieldInput
            kind={kind}
            field={{ name: "id", label: "Id", input: "text", help: "Leave empty to have one made." }}
            value={newId}
            fault={fault?.errors.find((error) => error.property === "id")}
            onChange={setNewId}
          />
        )}
        {kind.fields.map((field) => (
          <FieldInput
            key={field.name}
            kind={kind}
            field={field}
            value={draft[field.name] ?? ""}
            fault={fault?.errors.find((error) => error.property === field.name)}
            touched={id !== null && touched.includes(field.name)}
            onChange={(value) => set(field.name, value)}
          />
        ))}
        {fault && !deleting && (
          <p className="fault" role="alert">
            {fault.text}
            {elsewhere.map((error) => ` ${error.property}: ${error.message}.`)}
          </p>
        )}
        <footer>
          {id !== null && (
            <button type="button" className="danger quietly" onClick={() => setDeleting(true)}>
              Delete…
            </button>
          )}
          <span className="spacer" />
          <span className="quiet" role="status">
            {saved && !dirty
              ? "Saved: the next score uses it."
              : dirty && id !== null
                ? `${touched.length} changed`
                : ""}
          </span>
          {dirty && (
            <button type="button" onClick={() => setOpened({ ...opened, draft: base })}>
              Undo
            </button>
          )}
          <button type="submit" className="primary" disabled={busy || (id !== null && !dirty)}>
            {busy ? "Saving…" : id === null ? `Create ${kind.one}` : "Save"}
          </button>
        </footer>
      </form>
      {id !== null && <Audit kind={kind.one} id={id} />}
      {theirs !== null && (
        <Conflict
          kind={kind}
          base={base}
          mine={draft}
          theirs={theirs === "deleted" ? null : draftOf(kind, theirs.data)}
          busy={busy}
          onSave={(entries) => void save(entries, theirs === "deleted" ? "" : theirs.etag)}
          onTake={() => {
            if (theirs === "deleted") return;
            const now = draftOf(kind, theirs.data);
            setOpened({ base: now, draft: now, etag: theirs.etag });
            setTheirs(null);
          }}
          onClose={() => setTheirs(null)}
        />
      )}
      {deleting && (
        <Confirm
          title={`Delete this ${kind.one}?`}
          action="Delete"
          danger
          busy={busy}
          error={fault?.text}
          onConfirm={() => void remove()}
          onClose={() => {
            setDeleting(false);
            setFault(null);
          }}
        >
          <p>
            <b>{base.name}</b> ({id}) goes for good. What is in use is not deleted.
          </p>
        </Confirm>
      )}
    </div>
  );
}

/** What other objects offer to choose from, once for all fields that point to them. */
function Choices() {
  const strategies = useQuery(list("strategies")).data as Stored[] | undefined;
  const partners = useQuery(list("partners")).data as Stored[] | undefined;
  return (
    <>
      {(
        [
          ["strategy", strategies],
          ["partner", partners],
        ] as const
      ).map(([name, items]) => (
        <datalist key={name} id={`choices-${name}`}>
          {items?.map((item) => (
            <option key={plain(item.id)} value={plain(item.id)}>
              {plain(item.name)}
            </option>
          ))}
        </datalist>
      ))}
    </>
  );
}
