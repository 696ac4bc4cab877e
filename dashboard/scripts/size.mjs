// Prints what the page weighs on the wire, and fails over the limit.
import { readdir, readFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";

const LIMIT = 130 * 1024;
const folder = new URL("../dist/", import.meta.url);

let total = 0;
for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile()) continue;
  const path = `${entry.parentPath}/${entry.name}`;
  const size = gzipSync(await readFile(path), { level: 9 }).length;
  total += size;
  console.log(`${(size / 1024).toFixed(1).padStart(7)} KB  ${entry.name}`);
}
console.log(`${(total / 1024).toFixed(1).padStart(7)} KB  gzipped in all, of ${LIMIT / 1024} allowed`);
if (total > LIMIT) {
  console.error("the dashboard is over its limit");
  process.exit(1);
}
