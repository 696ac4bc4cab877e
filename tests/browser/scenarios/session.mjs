// Coming in, going out, and what a token opens.
import assert from "node:assert/strict";

const kept = (page) =>
  page.evaluate(() => ({
    session: Object.values({ ...sessionStorage }),
    local: Object.values({ ...localStorage }),
    cookie: document.cookie,
    address: location.href,
    history: history.length,
  }));

export async function signsIn({ visit, given }) {
  const visitor = await visit({ token: given.token, path: "/brands/b1?days=14" });
  await visitor.heading("b1").waitFor();
  const { session, local, cookie, address } = await kept(visitor.page);
  assert.deepEqual(session, [given.token]);
  assert.deepEqual([local, cookie], [[], ""]);
  assert.ok(address.endsWith("/#/brands/b1?days=14"), address);

  await visitor.page.reload();
  await visitor.heading("b1").waitFor();

  await visitor.page.goBack().catch(() => null); // what came before holds no token either
  assert.ok(!visitor.page.url().includes("eyJ"));
}

export async function signsOut({ visit, given }) {
  const visitor = await visit({ token: given.token });
  await visitor.heading("Portfolio").waitFor();
  await visitor.button("mara@example.com").click();
  await visitor.button("Sign out").click();
  await visitor.page.getByLabel("Access token").waitFor();
  assert.deepEqual((await kept(visitor.page)).session, []);
  assert.equal(await visitor.page.getByText("b1").count(), 0);
  await visitor.assertAccessible("sign-in");

  await visitor.page.getByLabel("Access token").fill("not a token");
  await visitor.button("Sign in").click();
  await visitor.sees("That is no token");
  await visitor.page.getByLabel("Access token").fill(`${given.token.slice(0, -6)}AAAAAA`);
  await visitor.button("Sign in").click();
  await visitor.sees("This token was refused");
  assert.deepEqual((await kept(visitor.page)).session, []);
  await visitor.page.getByLabel("Access token").fill(`Bearer ${given.token}`);
  await visitor.button("Sign in").click();
  await visitor.heading("Portfolio").waitFor();
}

export async function isOfferedWhatItMay({ visit, given }) {
  const offered = async (visitor) => visitor.page.getByRole("navigation", { name: "Views" }).getByRole("link").allInnerTexts();

  const brand = await visit({ token: given.brand });
  await brand.heading("Portfolio").waitFor();
  assert.deepEqual(await offered(brand), ["Portfolio"]);
  assert.deepEqual(await brand.page.getByRole("rowheader").allInnerTexts(), ["b1\nb1"]);
  await brand.open("/brands/b1");
  await brand.heading("b1").waitFor();
  assert.equal(await brand.page.getByRole("link", { name: "Edit brand" }).count(), 0);
  await brand.open("/brands/b2"); // another tenant's: as if it were not there
  await brand.sees("There is nothing here for this token");
  await brand.open("/setup/brands");
  await brand.heading("Nothing here for this token").waitFor();

  const partner = await visit({ token: given.partner, path: "/bundle" });
  await partner.heading("Try a bundle").waitFor();
  assert.deepEqual(await offered(partner), ["Try a bundle"]);

  const admin = await visit({ token: given.admin });
  await admin.heading("Portfolio").waitFor();
  assert.deepEqual(await offered(admin), ["Portfolio", "Strategies & brands", "Try a bundle", "Model & data"]);
}

export async function outlivesItsToken({ visit, ask }) {
  const seconds = 6;
  const first = await ask("token", { scope: "admin", seconds });
  const visitor = await visit({ token: first, path: "/setup/brands/b1" });
  const { page } = visitor;
  await page.getByLabel(/^Name/).fill("Half entered");
  await visitor.sees("token ends in");
  await new Promise((go) => setTimeout(go, seconds * 1000));
  await visitor.button("Save").click();
  const dialog = page.getByRole("dialog", { name: "Your token has ended" });
  await dialog.waitFor();
  await visitor.assertAccessible("the dialog of an ended token");

  await dialog.getByLabel("Access token").fill(await ask("token", { scope: "admin" }));
  await dialog.getByRole("button", { name: "Sign in" }).click();
  await dialog.waitFor({ state: "detached" });
  assert.equal(await page.getByLabel(/^Name/).inputValue(), "Half entered");
  await visitor.button("Save").click();
  await visitor.sees("Saved");
  assert.equal((await ask("read", { path: "/api/brands/b1" })).name, "Half entered");
  await ask("change", { path: "/api/brands/b1", name: "b1" });
}

export async function forgetsTheLastCaller({ visit, ask }) {
  const visitor = await visit({ token: await ask("token", { scope: "admin", seconds: 4 }), path: "/setup/brands" });
  await visitor.page.getByRole("link", { name: "b2" }).waitFor();
  const dialog = visitor.page.getByRole("dialog", { name: "Your token has ended" });
  await visitor.until("the token's end", async () => {
    await visitor.page.evaluate(() => dispatchEvent(new Event("visibilitychange")));
    return (await dialog.count()) > 0;
  });
  const next = await ask("token", { scope: "brand", brands: ["b1"], subject: "kim@example.com" });
  await dialog.getByLabel("Access token").fill(next);
  await dialog.getByRole("button", { name: "Sign in" }).click();
  await visitor.heading("Portfolio").waitFor();
  await visitor.page.getByRole("rowheader").first().waitFor();
  assert.equal(await visitor.page.getByText("b2").count(), 0);
}
