// A person with the dashboard open in a window of their own.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";

const SLOW = 15_000;

export class Visitor {
  /** `token`: in the address, as `make run` prints it. `path`: the view. */
  static async arrive(browser, url, axeSource, { token, path = "/", width = 1280, height = 800, scheme = "light" } = {}) {
    const context = await browser.newContext({
      viewport: { width, height },
      colorScheme: scheme,
      reducedMotion: "reduce",
      locale: "en-GB",
      timezoneId: "Europe/London",
    });
    context.setDefaultTimeout(SLOW);
    const page = await context.newPage();
    const visitor = new Visitor(page, url, axeSource);
    page.on("console", (message) => message.type() === "error" && visitor.heard(message.text()));
    page.on("pageerror", (error) => visitor.complaints.push(error.stack));
    page.on("request", (request) => visitor.requested(request));
    await page.goto(`${url}/#${path}${token ? `${path.includes("?") ? "&" : "?"}token=${token}` : ""}`);
    return visitor;
  }

  constructor(page, url, axeSource) {
    this.page = page;
    this.url = url;
    this.axeSource = axeSource;
    this.complaints = [];
  }

  /** What the browser says of answers that the scenarios provoke is no fault of the page. */
  heard(text) {
    if (!/Failed to load resource/.test(text)) this.complaints.push(text);
  }

  requested(request) {
    const address = request.url();
    if (!address.startsWith(`${this.url}/`)) this.complaints.push(`asked elsewhere: ${address}`);
    if (address.includes("eyJ")) this.complaints.push(`a token in an address: ${address}`);
  }

  assertNoComplaints() {
    assert.deepEqual(this.complaints, [], "the browser complained");
  }

  async open(path) {
    await this.page.evaluate((fragment) => {
      location.hash = fragment;
    }, `#${path}`);
  }

  heading(name) {
    return this.page.getByRole("heading", { level: 1, name });
  }

  button(name) {
    return this.page.getByRole("button", { name, exact: true });
  }

  async sees(text) {
    await this.page.getByText(text).first().waitFor();
  }

  /** Waits for a condition on the page's side, with the last value in the error. */
  async until(what, look) {
    const end = Date.now() + SLOW;
    let last;
    while (Date.now() < end) {
      last = await look();
      if (last) return last;
      await new Promise((go) => setTimeout(go, 50));
    }
    throw new Error(`${what}: not within ${SLOW / 1000} s, last ${JSON.stringify(last)}`);
  }

  /** Nothing sticks out of the window sideways. */
  async assertFits(where) {
    const { wide, window } = await this.page.evaluate(() => ({
      wide: document.documentElement.scrollWidth,
      window: innerWidth,
    }));
    assert.ok(wide <= window, `${where} is ${wide} px wide in a window of ${window}`);
  }

  /** No accessibility fault that axe calls serious or critical. The page's own policy lets no script in. */
  async assertAccessible(where) {
    const source = await readFile(this.axeSource, "utf8");
    const client = await this.page.context().newCDPSession(this.page);
    const evaluate = async (expression, awaitPromise = false) => {
      const { result, exceptionDetails } = await client.send("Runtime.evaluate", {
        expression,
        awaitPromise,
        returnByValue: true,
      });
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
      return result.value;
    };
    await evaluate(`window.axe || (() => { ${source} })(); true`);
    const faults = await evaluate(
      `axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) =>
        violations.filter(({ impact }) => impact === "serious" || impact === "critical")
          .map(({ id, nodes }) => id + ": " + nodes.slice(0, 3).map((n) => n.html.slice(0, 160) + " — " + (n.any[0]?.message ?? "")).join(" | ")))`,
      true,
    );
    await client.detach();
    assert.deepEqual(faults, [], `axe on ${where}`);
  }
}
