// Writes src/generated from the product's own OpenAPI document: the types of every answer, and the rules of
// what may be sent. A change of the API that the dashboard does not follow fails the type check that comes next.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import openapiTS, { astToString } from "openapi-typescript";

const here = new URL("..", import.meta.url);
const source = new URL("../functions/admin/openapi.json", here);
const target = new URL("src/generated/", here);

// Schemas of request bodies are written in place, where the mapping of a discriminator leads nowhere.
const document = JSON.parse(await readFile(source, "utf8"), (key, value) =>
  key === "discriminator" ? undefined : value,
);
await mkdir(target, { recursive: true });
await writeFile(new URL("openapi.d.ts", target), astToString(await openapiTS(document)));

/** What a form can say of one property before the server is asked. */
function rule(name, schema, required) {
  const variants = (schema.anyOf ?? [schema]).flatMap((one) => one.anyOf ?? [one]);
  const all = [schema, ...(schema.anyOf ?? []), ...variants];
  const first = (...keys) => {
    for (const one of all) for (const key of keys) if (one[key] !== undefined) return one[key];
    return undefined;
  };
  return {
    required: required.includes(name),
    nullable: variants.some((one) => one.type === "null"),
    words: schema.description ?? first("description"),
    options: first("enum"),
    initial: schema.default,
    least: first("minimum", "ge"),
    above: first("exclusiveMinimum", "gt"),
    most: first("maximum", "le"),
    below: first("exclusiveMaximum", "lt"),
    shortest: first("minLength"),
    longest: first("maxLength"),
  };
}

const rules = {};
for (const kind of ["brands", "strategies", "partners", "slots"]) {
  const schema = document.paths[`/api/${kind}`].post.requestBody.content["application/json"].schema;
  const writable = Object.entries(schema.properties).filter(([, property]) => !property.readOnly);
  rules[kind] = Object.fromEntries(
    writable.map(([name, property]) => [name, rule(name, property, schema.required ?? [])]),
  );
}
await writeFile(new URL("rules.json", target), JSON.stringify(rules, null, 1) + "\n");
