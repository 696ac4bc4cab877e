// What ad operations do: see what is wrong and why, and change it.
import assert from "node:assert/strict";

const bid = (brand) => ({
  id: "try",
  brand_id: brand,
  partner_id: "p1",
  slot_id: "s1",
  pricing_model: "CPC",
  amount: "0.40",
  currency: "USD",
});

async function scored(visitor, brand) {
  await visitor.open("/bundle");
  await visitor.heading("Try a bundle").waitFor();
  if ((await visitor.page.getByLabel("Bids as JSON").count()) === 0) await visitor.button("JSON").click();
  await visitor.page.getByLabel("Bids as JSON").fill(JSON.stringify([bid(brand)]));
  await visitor.button("Score").click();
  const row = visitor.page.getByRole("row").filter({ hasText: "CPC 0.40" });
  await row.waitFor();
  return row;
}

export async function readsWhyABrandIsHeldBack({ visit, ask, given }) {
  const visitor = await visit({ token: given.token });
  const { items } = await ask("read", { path: "/api/portfolio" });
  const held = items.find((item) => item.brand_id === "b1");
  assert.equal(held.status, "limited_by_roas", JSON.stringify(held));

  const row = visitor.page.getByRole("row", { name: /b1/ });
  await row.waitFor();
  const text = await row.innerText();
  assert.match(text, /Held back by ROAS/);
  assert.ok(text.includes(held.reason), `${held.reason} in ${text}`);
  assert.ok(text.includes(held.roas.current.toFixed(2)));
  const order = await visitor.page.getByRole("rowheader").allInnerTexts();
  assert.match(order[0], /b1/, "what is wrong comes first");

  await visitor.button("Held back by ROAS 1").click();
  assert.deepEqual(await visitor.page.getByRole("rowheader").count(), 1);
  assert.match(visitor.page.url(), /status=limited_by_roas/);

  await row.getByRole("link").click();
  await visitor.heading("b1").waitFor();
  await visitor.sees(held.reason);

  const result = await scored(visitor, "b1");
  assert.match(await result.innerText(), new RegExp(given.outcome));
}

export async function changesAStrategy({ visit, ask, given }) {
  const visitor = await visit({ token: given.token, path: "/bundle" });
  const { page } = visitor;
  const before = await scored(visitor, "b2");
  const name = async (row) => Number(/Score ([\d.]+)/.exec(await row.getByRole("button").first().getAttribute("aria-label"))[1]);
  const first = await name(before);
  assert.ok(first > 0);

  await visitor.open("/setup/strategies");
  await page.getByRole("link", { name: "plain" }).click();
  await page.getByLabel("Multiplier").fill("0");
  await visitor.button("Save").click();
  await page.locator(".fault").first().waitFor(); // the server's word, at the field
  assert.equal(await page.getByLabel("Multiplier").getAttribute("aria-invalid"), "true");
  await page.getByLabel("Multiplier").fill("2");
  await visitor.button("Save").click();
  await visitor.sees("Saved: the next score uses it.");
  await page.getByRole("complementary").getByText("vpi_multiplier").waitFor(); // the audit log beside it
  assert.equal((await ask("read", { path: "/api/strategies/plain" })).vpi_multiplier, 2);

  const after = await name(await scored(visitor, "b2"));
  assert.ok(Math.abs(after / first - 2) < 0.02, `${first} became ${after}`);
  await ask("change", { path: "/api/strategies/plain", vpi_multiplier: 1 });
}

export async function meetsAnotherEditor({ visit, ask, given }) {
  const visitor = await visit({ token: given.token, path: "/setup/brands/b2" });
  const { page } = visitor;
  const dialog = page.getByRole("dialog", { name: "Somebody else saved this meanwhile" });

  await page.getByLabel("Target ROAS").fill("3");
  await ask("change", { path: "/api/brands/b2", daily_budget: "70" });
  await visitor.button("Save").click();
  await dialog.getByText("both changes fit together").waitFor();
  await visitor.assertAccessible("a conflict");
  await dialog.getByRole("button", { name: "Save both" }).click();
  await dialog.waitFor({ state: "detached" });
  let stored = await ask("read", { path: "/api/brands/b2" });
  assert.deepEqual([stored.target_roas, Number(stored.daily_budget)], [3, 70]);

  await page.getByLabel("Target ROAS").fill("4");
  await ask("change", { path: "/api/brands/b2", target_roas: "2.5" });
  await visitor.button("Save").click();
  const row = dialog.getByRole("row", { name: /Target ROAS/ });
  await row.waitFor();
  assert.deepEqual((await row.getByRole("cell").allInnerTexts()).map((text) => text.trim()), ["3", "2.5", "4"]);
  await row.getByLabel("4").check();
  await dialog.getByRole("button", { name: "Save both" }).click();
  await dialog.waitFor({ state: "detached" });
  stored = await ask("read", { path: "/api/brands/b2" });
  assert.equal(stored.target_roas, 4);

  // Looking elsewhere loses nothing that was entered.
  await page.getByLabel(/^Name/).fill("not saved");
  await visitor.open("/");
  await visitor.heading("Portfolio").waitFor();
  await visitor.open("/setup/brands/b2");
  await visitor.until("what was entered", async () => (await page.getByLabel(/^Name/).inputValue()) === "not saved");
  await visitor.button("Undo").click();
  await ask("change", { path: "/api/brands/b2", target_roas: 2, daily_budget: null });
}

export async function makesAndRemovesABrand({ visit, ask, given }) {
  const visitor = await visit({ token: given.token, path: "/setup/brands" });
  const { page } = visitor;
  await page.getByRole("link", { name: "New brand" }).click();
  await visitor.button("Create brand").click();
  await page.getByText("Field required").first().waitFor();
  await page.getByLabel("Id").fill("#N/A 50%");
  await page.getByLabel(/^Name/).fill("Odd & <b>");
  await page.getByLabel("Vertical").fill("travel");
  await page.getByLabel(/^Strategy/).fill("plain");
  await page.getByLabel("Target ROAS").fill("2");
  await page.getByLabel("Currency").fill("USD");
  await visitor.button("Create brand").click();
  await page.getByRole("heading", { name: "Odd & <b>" }).waitFor();
  assert.match(page.url(), /#\/setup\/brands\/%23N%2FA%2050%25$/);
  assert.equal((await ask("read", { path: "/api/brands/%23N%2FA%2050%25" })).name, "Odd & <b>");

  await page.reload(); // a deep link to an odd id
  await page.getByRole("heading", { name: "Odd & <b>" }).waitFor();
  await visitor.button("Delete…").click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByRole("link", { name: "New brand" }).waitFor();
  await visitor.until("the brand to go", async () => (await page.getByText("Odd & <b>").count()) === 0);

  await visitor.open("/setup/strategies/plain"); // in use
  await visitor.button("Delete…").click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("alert").waitFor();
}

export async function readsTheHeatMap({ visit, ask, given }) {
  const visitor = await visit({ token: given.token, path: "/brands/b2?days=7" });
  const { page } = visitor;
  const group = page.getByRole("group", { name: /Value per impression by hour/ });
  await group.waitFor();
  const { points } = await ask("read", { path: given.vpi });
  assert.ok(points.length >= 2);
  const panel = page.getByRole("figure").filter({ has: group });
  const rows = [...new Set(points.map((point) => point.at.slice(0, 10)))].sort();
  for (const point of points) {
    const cell = group.locator(`[data-cell="${point.hour},${rows.indexOf(point.at.slice(0, 10))}"]`);
    await cell.hover();
    const text = await panel.getByRole("status").innerText();
    const [, shown] = /· ([\d.,]+) USD per impression/.exec(text) ?? [];
    assert.ok(shown, text);
    assert.equal(Number(shown), Number(point.value_per_impression.toPrecision(3)), text);
    assert.ok(text.includes(point.impressions.toLocaleString("en")), text);
  }
}
