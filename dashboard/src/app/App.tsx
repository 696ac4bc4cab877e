/** Who is here, what that allows, and the view that the address names. */
import { QueryClientProvider, useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { ApiError } from "../api/client";
import { me, newQueryClient } from "../api/queries";
import type { Me } from "../api/types";
import { Loading } from "../pieces/Reading";
import { BrandView } from "../views/brand/BrandView";
import { BundleView } from "../views/bundle/BundleView";
import { ModelView } from "../views/model/ModelView";
import { PortfolioView } from "../views/portfolio/PortfolioView";
import { SetupView } from "../views/setup/SetupView";
import { may, type Scope } from "./may";
import { useRoute } from "./router";
import { useSession } from "./session";
import { Shell } from "./Shell";
import { SignIn } from "./SignIn";

export function App() {
  const [client] = useState(newQueryClient);
  const state = useSession();
  useEffect(() => {
    if (state === "signed_out") client.clear(); // nothing of one caller stays for the next
  }, [client, state]);
  return (
    <QueryClientProvider client={client}>
      {state === "signed_out" ? <SignIn /> : <SignedIn />}
      {state === "refused" && <SignIn again />}
    </QueryClientProvider>
  );
}

function SignedIn() {
  const query = useQuery(me());
  if (query.data) return <Views who={query.data} />;
  const message =
    query.error instanceof ApiError && query.error.code !== "refused_token" ? query.error.message : null;
  return (
    <main className="alone">
      {message ? (
        <p role="alert">Who this token is for can't be asked: {message}. It is tried again.</p>
      ) : (
        <Loading what="your access" />
      )}
    </main>
  );
}

interface View {
  path: string;
  name: string;
  /** On a phone. */
  brief: string;
  scope: Scope;
}

const VIEWS: readonly View[] = [
  { path: "", name: "Portfolio", brief: "Portfolio", scope: "brand" },
  { path: "setup", name: "Strategies & brands", brief: "Set-up", scope: "admin" },
  { path: "bundle", name: "Try a bundle", brief: "Bundle", scope: "partner" },
  { path: "model", name: "Model & data", brief: "Model", scope: "admin" },
];

function Views({ who }: { who: Me }) {
  const { segments, query } = useRoute();
  const offered = VIEWS.filter((view) => may(who, view.scope));
  const wanted = segments[0] === "brands" ? "" : (segments[0] ?? "");
  const view = offered.find((one) => one.path === wanted) ?? (segments.length ? undefined : offered[0]);
  return (
    <Shell who={who} views={offered} current={view?.path ?? null}>
      {view === undefined ? (
        <NotOffered any={offered.length > 0} />
      ) : segments[0] === "brands" && segments[1] ? (
        <BrandView key={segments[1]} brandId={segments[1]} query={query} who={who} />
      ) : view.path === "setup" ? (
        <SetupView segments={segments.slice(1)} query={query} />
      ) : view.path === "bundle" ? (
        <BundleView who={who} />
      ) : view.path === "model" ? (
        <ModelView />
      ) : (
        <PortfolioView query={query} />
      )}
    </Shell>
  );
}

function NotOffered({ any }: { any: boolean }) {
  return (
    <div className="empty">
      <h1>Nothing here for this token</h1>
      <p>
        {any
          ? "Its scopes don't open this view; the ones above they do."
          : "It has none of the scopes brand, partner and admin, so there is nothing to show."}
      </p>
    </div>
  );
}
