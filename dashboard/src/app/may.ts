/** What a token's scopes open. The API decides; this only keeps from view what it would refuse. */
import type { Me } from "../api/types";

export type Scope = "brand" | "partner" | "admin";

/** An admin has every scope. */
export const may = (who: Me, scope: Scope): boolean =>
  who.scopes.includes(scope) || who.scopes.includes("admin");
