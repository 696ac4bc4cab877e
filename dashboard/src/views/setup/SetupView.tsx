/** What people set, kind by kind: lists, and one object with its history. */
import { amend, href } from "../../app/router";
import { KINDS, type Kind } from "./kinds";
import { ItemForm } from "./ItemForm";
import { ItemList } from "./ItemList";
import { useEffect } from "react";
import { anyKept } from "./values";

const ORDER: readonly Kind[] = ["brands", "strategies", "partners", "slots"];

export function SetupView({ segments, query }: { segments: readonly string[]; query: URLSearchParams }) {
  const [wanted, id] = segments;
  const kind = KINDS[ORDER.find((one) => one === wanted) ?? "brands"];
  const fresh = query.get("new") !== null;
  useEffect(() => {
    const warn = (event: BeforeUnloadEvent): void => {
      if (anyKept()) event.preventDefault();
    };
    addEventListener("beforeunload", warn);
    return () => removeEventListener("beforeunload", warn);
  }, []);
  return (
    <>
      <div className="head">
        <h1>Strategies &amp; brands</h1>
      </div>
      <nav className="chips kinds" aria-label="Kinds">
        {ORDER.map((one) => (
          <a key={one} href={href(["setup", one])} aria-current={one === kind.kind ? "page" : undefined}>
            {KINDS[one].title}
          </a>
        ))}
      </nav>
      {id !== undefined || fresh ? (
        <ItemForm key={`${kind.kind}/${id ?? ""}`} kind={kind} id={id ?? null} copyOf={query.get("copy")} />
      ) : (
        <ItemList kind={kind} words={query.get("find") ?? ""} onWords={(find) => amend({ find })} />
      )}
    </>
  );
}
