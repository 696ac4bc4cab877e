// The page itself: away and back, keyboard, size, speed, and how it looks.
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";

export const VIEWS = {
  portfolio: { path: "/", heading: "Portfolio" },
  brand: { path: "/brands/{brand}", heading: null },
  setup: { path: "/setup/brands", heading: "Strategies & brands" },
  form: { path: "/setup/brands/{brand}", heading: "Strategies & brands" },
  bundle: { path: "/bundle", heading: "Try a bundle" },
  model: { path: "/model", heading: "Model & data" },
};

const LOOKS = [
  { device: "desktop", width: 1280, height: 800 },
  { device: "phone", width: 390, height: 844 },
];

/** Opens a view and waits until all of it is read. */
async function settle(visitor, name, brand) {
  const { path, heading } = VIEWS[name];
  await visitor.open(path.replace("{brand}", brand));
  if (heading) await visitor.heading(heading).waitFor();
  else await visitor.page.getByText("Portfolio /").waitFor();
  if (name === "bundle") {
    await visitor.button("Fill with an example").click();
    await visitor.page.getByLabel(/^Brand of bid/).last().fill(brand);
    await visitor.button("Score").click();
    await visitor.page.getByRole("button", { name: /^Details of/ }).first().click();
  }
  await visitor.until(`${name} to be read`, async () => (await visitor.page.locator(".spinner").count()) === 0);
}

export async function looksRight({ visit, given }) {
  for (const { device, width, height } of LOOKS) {
    for (const scheme of ["light", "dark"]) {
      const visitor = await visit({ token: given.token, width, height, scheme });
      for (const name of Object.keys(VIEWS)) {
        const where = `${name}, ${device}, ${scheme}`;
        await settle(visitor, name, given.brand);
        await visitor.assertFits(where);
        if (device === "desktop" || scheme === "light") await visitor.assertAccessible(where);
        if (given.pictures) {
          await mkdir(given.pictures, { recursive: true });
          await visitor.page.mouse.move(0, 0);
          // The whole page in one window: rows out of sight are not painted.
          const tall = device === "desktop" && (await visitor.page.evaluate(() => document.documentElement.scrollHeight));
          if (tall > height) await visitor.page.setViewportSize({ width, height: tall });
          await visitor.page.waitForTimeout(200);
          await visitor.page.screenshot({ path: `${given.pictures}/${name}-${device}-${scheme}.png` });
          await visitor.page.setViewportSize({ width, height });
        }
      }
      await visitor.page.context().close();
    }
  }
}

export async function keepsTheLastData({ visit, ask, given }) {
  const visitor = await visit({ token: given.token });
  const { page } = visitor;
  await page.getByRole("rowheader", { name: /b1/ }).waitFor();
  await ask("stop");
  const notice = page.getByRole("alert").filter({ hasText: "Not up to date" });
  await visitor.until("the notice", async () => {
    await page.evaluate(() => dispatchEvent(new Event("visibilitychange")));
    return (await notice.count()) > 0;
  });
  assert.match(await notice.innerText(), /the API does not answer.*was read at \d\d:\d\d:\d\d, \d+ (s|min) ago/s);
  assert.equal(await page.getByRole("rowheader", { name: /b1/ }).count(), 1, "the last data stays");
  await visitor.assertAccessible("the API away");
  await ask("start");
  await notice.waitFor({ state: "detached", timeout: 20_000 }); // by itself
  assert.equal(await page.getByRole("rowheader", { name: /b1/ }).count(), 1);
}

export async function worksByKeyboard({ visit, given }) {
  const visitor = await visit({ token: given.token });
  const { page } = visitor;
  await page.getByRole("rowheader", { name: /b1/ }).waitFor();
  const focused = () => page.evaluate(() => document.activeElement?.innerText ?? "");
  await page.keyboard.press("Tab");
  assert.match(await focused(), /Skip to the content/);
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement?.id), "content");
  for (let step = 0; step < 40 && (await focused()) !== "b1"; step += 1) await page.keyboard.press("Tab");
  assert.equal(await focused(), "b1");
  await page.keyboard.press("Enter");
  await visitor.heading("b1").waitFor();

  const chart = page.getByRole("group", { name: /^ROAS of/ });
  await chart.focus();
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("ArrowLeft");
  const readout = page.getByRole("figure").filter({ has: chart }).getByRole("status");
  assert.match(await readout.innerText(), /^\w{3} \d+ \w{3} · /);

  await visitor.open("/bundle");
  await visitor.button("Fill with an example").click();
  await visitor.button("Score").click();
  const quality = page.getByRole("button", { name: /^Quality/ }).last();
  await quality.focus();
  const tip = page.getByRole("tooltip");
  await tip.getByText("placement").waitFor();
  const { x, y, width, height } = await tip.boundingBox();
  const shown = await page.evaluate(([left, top]) => document.elementFromPoint(left, top)?.closest("[role=tooltip]") !== null, [x + width / 2, y + height - 4]);
  assert.ok(shown, "the tooltip is cut off or covered");
  await page.keyboard.press("Escape");
  await tip.waitFor({ state: "detached" });

  await visitor.open("/setup/brands/b1");
  await visitor.button("Delete…").focus();
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  assert.equal(await focused(), "Delete…", "the focus goes back to where it was");
}

export async function staysQuick({ visit, given }) {
  const visitor = await visit({ token: given.token });
  const { page } = visitor;
  const rows = page.getByRole("rowheader");
  await visitor.until("500 brands", async () => (await rows.count()) >= 500);
  // From the key to the next frame, in the page itself.
  const milliseconds = await page.evaluate(async () => {
    const input = document.querySelector('input[type="search"]');
    const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set;
    const painted = () => new Promise((go) => requestAnimationFrame(() => setTimeout(go)));
    const times = [];
    for (const text of ["b", "br", "bra", "brand 49", "", "brand 1", ""]) {
      const start = performance.now();
      set.call(input, text);
      input.dispatchEvent(new Event("input", { bubbles: true }));
      await painted();
      times.push(performance.now() - start);
    }
    for (const name of ["Pace", "Brand"]) {
      const button = [...document.querySelectorAll("th button")].find((one) => one.innerText.startsWith(name));
      const start = performance.now();
      button.click();
      await painted();
      times.push(performance.now() - start);
    }
    return times;
  });
  return milliseconds;
}

export async function rollsBack({ visit, ask, given }) {
  const visitor = await visit({ token: given.token, path: "/model" });
  const { page } = visitor;
  await page.getByRole("row", { name: new RegExp(given.older) }).getByRole("button", { name: /Roll back/ }).click();
  const dialog = page.getByRole("dialog", { name: "Roll back?" });
  await dialog.getByRole("button", { name: "Cancel" }).click();
  assert.equal((await ask("read", { path: "/api/models" })).items.find((item) => item.current)?.version, given.newer);
  await page.getByRole("row", { name: new RegExp(given.older) }).getByRole("button", { name: /Roll back/ }).click();
  await dialog.getByRole("button", { name: "Roll back" }).click();
  await dialog.waitFor({ state: "detached" });
  assert.equal((await ask("read", { path: "/api/models" })).items.find((item) => item.current)?.version, given.older);
  await page.getByRole("row", { name: new RegExp(given.older) }).getByText("current").waitFor();
}
