import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
const page = read("docs/reference/tasks.md");

/** The fields of an interface as its source declares them. */
function fieldsOf(path: string, name: string): string[] {
  const [, body = ""] =
    new RegExp(`interface ${name}\\b[^{]*\\{\\n([\\s\\S]*?)\\n\\}`).exec(read(path)) ?? [];
  return [...body.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, field = ""]) => field);
}

test.each([
  ["Options of a task", "sdk/flow/src/task/options.ts", "TaskOptions"],
  ["Options of a task", "sdk/flow/src/task/retry.ts", "RetryOptions"],
  ["Options of a task", "sdk/flow/src/task/options.ts", "CacheOptions"],
  ["Options of `.map`", "sdk/flow/src/task/map.ts", "MapOptions"],
  ["Options of a flow", "sdk/flow/src/flow.ts", "FlowOptions"],
  ["Options of a flow", "sdk/flow/src/engine/hooks.ts", "FlowHooks"],
  ["Options of a resource", "sdk/flow/src/resources/resource.ts", "AnyResource"],
  ["Options of a resource", "sdk/flow/src/resources/resource.ts", "ResourceOptions"],
  ["Options of `withSetup`", "sdk/flow/src/task/with-setup.ts", "Setup"],
])('"%s" names all that %s says in %s', (title, path, name) => {
  const section = page.split(/^## /m).find((part) => part.startsWith(title)) ?? "";
  const fields = fieldsOf(path, name);
  expect(fields.length).toBeGreaterThan(0);
  for (const field of fields) expect(section, field).toContain(`\`${field}\``);
});
