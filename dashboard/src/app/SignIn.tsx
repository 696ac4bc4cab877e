/** A token is pasted here, and tried before it is kept. `again`: over the page, once the last one was refused. */
import { useQueryClient } from "@tanstack/react-query";
import { useId, useState, type SubmitEvent } from "react";
import { ApiError, call } from "../api/client";
import { Dialog } from "../pieces/Dialog";
import { go } from "./router";
import { bearer, looksLikeToken, session } from "./session";

export function SignIn({ again = false }: { again?: boolean }) {
  if (again) {
    return (
      <Dialog title="Your token has ended">
        <p>Nothing you entered is lost: paste a new token to go on where you were.</p>
        <TokenForm />
      </Dialog>
    );
  }
  return (
    <main className="alone">
      <div className="panel sign-in">
        <h1>AdBid Optimizer</h1>
        <p>
          Paste an access token. It stays in this browser tab until you close it or sign out. An address that
          ends in <code>#token=…</code> signs in by itself.
        </p>
        <TokenForm />
      </div>
    </main>
  );
}

function TokenForm() {
  const client = useQueryClient();
  const [text, setText] = useState("");
  const [fault, setFault] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const id = useId();

  async function submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const token = text.trim().replace(/^Bearer\s+/i, "");
    if (!looksLikeToken(token)) {
      setFault("That is no token: it has three parts with dots between them.");
      return;
    }
    setBusy(true);
    setFault(null);
    try {
      await call("get", "/api/me", { token });
    } catch (error) {
      setBusy(false);
      const refused = error instanceof ApiError && (error.status === 401 || error.status === 403);
      const why = error instanceof Error ? error.message : String(error);
      setFault(
        refused
          ? "This token was refused: it may have ended, or be another system's."
          : `It can't be tried: ${why}.`,
      );
      return;
    }
    if (session.last() !== null && bearer(session.last()) !== bearer(token)) {
      client.clear(); // another caller: nothing of the last one is shown
      go("#/");
    }
    session.signIn(token);
    await client.invalidateQueries();
  }

  return (
    <form onSubmit={(event) => void submit(event)} className="token-form">
      <label htmlFor={id}>Access token</label>
      <textarea
        id={id}
        value={text}
        onChange={(event) => setText(event.target.value)}
        rows={4}
        spellCheck={false}
        autoComplete="off"
        aria-invalid={fault !== null}
        aria-describedby={fault ? `${id}-fault` : undefined}
      />
      {fault && (
        <p className="fault" id={`${id}-fault`} role="alert">
          {fault}
        </p>
      )}
      <footer>
        {session.state() === "refused" && (
          <button type="button" onClick={() => session.signOut()}>
            Sign out
          </button>
        )}
        <button type="submit" className="primary" disabled={busy || text.trim() === ""}>
          {busy ? "Trying it…" : "Sign in"}
        </button>
      </footer>
    </form>
  );
}
