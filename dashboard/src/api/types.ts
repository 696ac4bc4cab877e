/** What the API answers, by the names that the views use; all of it from the product's OpenAPI document. */
import type { components, paths } from "../generated/openapi";

export type Paths = paths;
export type Method = "get" | "post" | "put" | "delete";

type Operation<P extends keyof Paths, M extends Method> = Paths[P] extends Record<M, infer O> ? O : never;
type Json<R> = R extends { content: { "application/json": infer T } } ? T : undefined;
type Good<R> = R extends { 200: infer A } ? Json<A> : R extends { 201: infer A } ? Json<A> : undefined;

export type Answer<P extends keyof Paths, M extends Method = "get"> =
  Operation<P, M> extends { responses: infer R } ? Good<R> : never;
export type Query<P extends keyof Paths, M extends Method = "get"> =
  Operation<P, M> extends { parameters: { query?: infer Q } } ? NonNullable<Q> : never;
export type Sent<P extends keyof Paths, M extends Method> =
  Operation<P, M> extends { requestBody: infer B } ? Json<B> : undefined;

export type Problem = components["schemas"]["Problem"];
export type Score = Answer<"/api/score", "post">;
export type Result = Score["results"][number];
export type BundleRequest = Sent<"/api/score", "post">;
export type Bid = BundleRequest["bids"][number];
export type Vpi = Answer<"/api/metrics/vpi">;
export type VpiPoint = Vpi["points"][number];
export type Portfolio = Answer<"/api/portfolio">;
export type PortfolioItem = Portfolio["items"][number];
export type History = Answer<"/api/portfolio/{brand_id}/history">;
export type Simulation = Answer<"/api/simulate", "post">;
export type Me = Answer<"/api/me">;
export type AuditEntry = Answer<"/api/audit">["items"][number];
export type ModelItem = Answer<"/api/models">["items"][number];
export type Health = Answer<"/healthz">;
export type Brand = components["schemas"]["Brand"];
export type Strategy = components["schemas"]["Strategy"];
export type Partner = components["schemas"]["Partner"];
export type Slot = components["schemas"]["Slot"];
