/** What the views read, and how often it is read again. */
import { QueryClient, keepPreviousData, queryOptions } from "@tanstack/react-query";
import { ApiError, call, everyPage } from "./client";
import type { PortfolioItem } from "./types";
import type { Kind } from "../views/setup/kinds";

const SECOND = 1000;

/** After a failure sooner than otherwise, so that the page is soon right again. */
const every =
  (seconds: number) =>
  (query: { state: { status: string; fetchFailureCount: number; error: Error | null } }): number | false => {
    const { error } = query.state;
    if (error instanceof ApiError && !error.passing) return false; // asking again would change nothing
    return SECOND * (error === null ? seconds : Math.min(seconds, 5));
  };

export const newQueryClient = (): QueryClient =>
  new QueryClient({
    defaultOptions: {
      queries: {
        retry: false, // the next reading comes by itself
        networkMode: "always", // a browser's idea of being offline says nothing of this API
        staleTime: 2 * SECOND,
        gcTime: 10 * 60 * SECOND,
        refetchOnWindowFocus: true,
      },
      mutations: { networkMode: "always" },
    },
  });

export const me = () =>
  queryOptions({
    queryKey: ["me"],
    queryFn: async ({ signal }) => (await call("get", "/api/me", { signal })).data,
    refetchInterval: every(300),
  });

export const health = () =>
  queryOptions({
    queryKey: ["health"],
    queryFn: async ({ signal }) => (await call("get", "/healthz", { signal })).data,
    refetchInterval: every(15),
  });

export const portfolio = () =>
  queryOptions({
    queryKey: ["portfolio"],
    queryFn: async ({ signal }) => {
      let at = "";
      let degraded: string[] = [];
      const items = await everyPage(async (cursor) => {
        const { data } = await call("get", "/api/portfolio", { query: { limit: 500, cursor }, signal });
        ({ at, degraded } = data);
        return data;
      });
      return { at, degraded, items };
    },
    refetchInterval: every(15),
  });

export const portfolioItem = (brandId: string) =>
  queryOptions({
    queryKey: ["portfolio", brandId],
    queryFn: async ({ signal }): Promise<PortfolioItem> => {
      const { data } = await call("get", "/api/portfolio", { query: { brand_id: brandId }, signal });
      const [item] = data.items;
      if (item === undefined) throw new ApiError(404, "there is no such brand", "not_found");
      return item;
    },
    refetchInterval: every(15),
  });

export const brandHistory = (brandId: string, days: number) =>
  queryOptions({
    queryKey: ["history", brandId, days],
    queryFn: async ({ signal }) => {
      const path = { brand_id: brandId };
      return (await call("get", "/api/portfolio/{brand_id}/history", { path, query: { days }, signal })).data;
    },
    placeholderData: keepPreviousDataOf(brandId),
    refetchInterval: every(30),
  });

/** While another span is being read the last one stays, but never another brand's. */
function keepPreviousDataOf(brandId: string) {
  return <T>(previous: T | undefined, query: { queryKey: readonly unknown[] } | undefined): T | undefined =>
    query?.queryKey[1] === brandId ? keepPreviousData(previous) : undefined;
}

const HOURS_AT_MOST = 31;

/** Value per impression by hour, over whole local days. `since` is RFC 3339. */
export const vpiByHour = (brandId: string, timezone: string, days: number) =>
  queryOptions({
    queryKey: ["vpi", brandId, timezone, days],
    queryFn: async ({ signal }) => {
      const span = Math.min(days, HOURS_AT_MOST) * 86_400 * SECOND;
      const from = new Date(Date.now() - span).toISOString();
      const query = { granularity: "hour" as const, brand_id: brandId, timezone, from };
      return (await call("get", "/api/metrics/vpi", { query, signal })).data;
    },
    placeholderData: keepPreviousDataOf(brandId),
    refetchInterval: every(60),
  });

/** The hours of the last two days in which anything happened, over all that the caller may see. */
export const latestHours = () =>
  queryOptions({
    queryKey: ["latest"],
    queryFn: async ({ signal }) => {
      const from = new Date(Date.now() - 2 * 86_400 * SECOND).toISOString();
      return (await call("get", "/api/metrics/vpi", { query: { granularity: "hour", from }, signal })).data;
    },
    refetchInterval: every(60),
  });

export const list = (kind: Kind) =>
  queryOptions({
    queryKey: ["list", kind],
    queryFn: ({ signal }) =>
      everyPage<object>(async (cursor) => {
        return (await call("get", `/api/${kind}`, { query: { limit: 200, cursor }, signal })).data;
      }),
    refetchInterval: every(60),
  });

export const one = (kind: Kind, id: string) =>
  queryOptions({
    queryKey: ["one", kind, id],
    queryFn: ({ signal }) => call("get", `/api/${kind}/{id}`, { path: { id }, signal }),
    refetchInterval: every(30),
  });

export const audit = (kind: string, objectId: string) =>
  queryOptions({
    queryKey: ["audit", kind, objectId],
    queryFn: async ({ signal }) => {
      const query = { kind, object_id: objectId, limit: 50 };
      return (await call("get", "/api/audit", { query, signal })).data.items;
    },
    refetchInterval: every(30),
  });

export const models = () =>
  queryOptions({
    queryKey: ["models"],
    queryFn: async ({ signal }) =>
      (await call("get", "/api/models", { query: { limit: 50 }, signal })).data.items,
    refetchInterval: every(30),
  });
