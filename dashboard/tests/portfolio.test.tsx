import { QueryClientProvider } from "@tanstack/react-query";
import { render, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, it, vi } from "vitest";
import { newQueryClient } from "../src/api/queries";
import type { Portfolio } from "../src/api/types";
import { useRoute } from "../src/app/router";
import { session } from "../src/app/session";
import { PortfolioView } from "../src/views/portfolio/PortfolioView";
import { brand } from "./items";

function Page() {
  return <PortfolioView query={useRoute().query} />;
}

function open(items: Portfolio["items"], status = 200) {
  const body =
    status === 200 ? { at: "2026-11-21T12:00:00+00:00", items, next_cursor: null, degraded: [] } : {};
  const type = status === 200 ? "application/json" : "application/problem+json";
  vi.spyOn(globalThis, "fetch").mockImplementation(() =>
    Promise.resolve(
      new Response(JSON.stringify({ type: "urn:x", detail: "not allowed", errors: [], ...body }), {
        status,
        headers: { "content-type": type },
      }),
    ),
  );
  return render(
    <QueryClientProvider client={newQueryClient()}>
      <Page />
    </QueryClientProvider>,
  );
}

beforeEach(() => {
  session.signIn("a.b.c");
  history.replaceState(null, "", "#/");
});

it("says in words what is wrong with a brand, and why", async () => {
  const reason = "ROAS 1.42 over 7 days is below its target";
  open([brand("fine"), brand("held", { status: "limited_by_roas", reason, pacing_index: 0.64 })]);
  const [, first] = await screen.findAllByRole("row");
  expect(first?.textContent).toContain("Held back by ROAS");
  expect(first?.textContent).toContain(reason);
  expect(first?.textContent).toContain("64 % behind");
});

it("shows a dash for what is not known", async () => {
  const { roas } = brand("x");
  open([brand("new", { roas: { ...roas, current: null, low: null, high: null }, pacing_index: null })]);
  const row = await screen.findByRole("row", { name: /Brand new/ });
  expect(within(row).getByText("–")).toBeTruthy();
  expect(row.textContent).toContain("no pace yet");
});

it("expects no pace of a brand without a budget", async () => {
  open([brand("free", { daily_budget: null, expected_spend: null, pacing_index: null })]);
  const row = await screen.findByRole("row", { name: /Brand free/ });
  expect(row.textContent).toContain("40.00 USD");
  expect(row.textContent).toContain("no budget, so no pace");
});

it("keeps what is searched and sorted in the address", async () => {
  open([brand("x1", { spent: "5" }), brand("y2", { spent: "9" })]);
  await userEvent.click(await screen.findByRole("button", { name: "Spent today" }));
  await userEvent.click(screen.getByRole("button", { name: "Spent today" }));
  expect(location.hash).toBe("#/?sort=spend&down=1");
  expect(screen.getAllByRole("rowheader").map((cell) => cell.textContent)).toEqual([
    "Brand y2y2",
    "Brand x1x1",
  ]);
  expect(screen.getByRole("columnheader", { name: "Spent today" }).getAttribute("aria-sort")).toBe(
    "descending",
  );
  await userEvent.type(screen.getByRole("searchbox"), "brand x");
  expect(location.hash).toContain("find=brand+x");
  expect(screen.getAllByRole("rowheader")).toHaveLength(1);
});

it("is honest about an empty portfolio", async () => {
  open([]);
  expect(await screen.findByText("No brands yet")).toBeTruthy();
});

it("is honest about what the token does not open", async () => {
  open([], 403);
  expect(await screen.findByText(/scopes don't allow it/)).toBeTruthy();
});
