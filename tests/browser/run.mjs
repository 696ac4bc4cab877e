// Plays scenarios in one Chromium, each with windows of its own, until its input ends. Speaks with
// tests/browser/driver.py over stdin and stdout, a JSON document a line.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { Visitor } from "./visitor.mjs";

const dashboard = createRequire(new URL("../../dashboard/package.json", import.meta.url));
const { chromium } = dashboard("playwright-core");
const axeSource = dashboard.resolve("axe-core/axe.min.js");

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (document) => process.stdout.write(`${JSON.stringify(document)}\n`);
async function heard() {
  const { value, done } = await lines.next();
  return done ? null : JSON.parse(value);
}

/** Something that only the tests' own process can do. */
async function ask(name, given = {}) {
  say({ ask: name, with: given });
  return heard();
}

async function play({ scenario, given }) {
  const [file, name] = scenario.split(".");
  const scenarios = await import(new URL(`scenarios/${file}.mjs`, import.meta.url));
  const visitors = [];
  const visit = async (options = {}) => {
    const visitor = await Visitor.arrive(browser, given.url, axeSource, options);
    visitors.push(visitor);
    return visitor;
  };
  try {
    const result = await scenarios[name]({ visit, ask, given });
    for (const visitor of visitors) visitor.assertNoComplaints();
    return result ?? null;
  } finally {
    await Promise.all(browser.contexts().map((context) => context.close()));
  }
}

const browser = await chromium.launch({
  executablePath: process.argv[2],
  headless: true,
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-quic"],
});
for (let request = await heard(); request !== null; request = await heard()) {
  try {
    say({ done: await play(request) });
  } catch (error) {
    say({ failed: error.stack ?? String(error) });
  }
}
await browser.close();
