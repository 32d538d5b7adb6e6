import { join } from "node:path";
import { expect, test } from "vitest";
import { NpmRegistry } from "../../worker/src/environments/npm-registry.fixture.ts";
import { startStack } from "../harness/index.ts";

const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { greets } from "./flow.ts";
export default defineConfig({
  project: "scripts",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  npm: { packages: ["greeting", "modern"] },
  deployments: [
    deployment(greets),
    deployment({ name: "script", command: ["node", "--no-warnings", "scripts/main.js"] }),
    deployment({ name: "other", command: ["sh", "-c", "node scripts/main.js || echo found nothing"] }),
  ],
});
`;
const FLOW = `
import greeting from "greeting";
import { createRequire } from "node:module";
import { flow, log } from "towpath";
export const greets = flow({ name: "greets" }, async () => {
  log.info("flow " + greeting);
  // As a bundled CommonJS package does.
  log.info("require " + createRequire(import.meta.url)("greeting"));
});
`;
const MAIN = `
import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { modern } from "modern";
console.log("import", modern, "require", createRequire(import.meta.url)("greeting"));
execFileSync("node", ["scripts/child.cjs"], { stdio: "inherit" });
await import("missing").catch((error) => console.log(error.code));
`;
const CHILD = 'console.log("child", require("greeting"));';

test("a command that begins with node finds the project's npm packages, as a flow beside it does", async () => {
  await using registry = await new NpmRegistry().start();
  const greeting = await registry.publish("greeting", { "index.js": 'module.exports = "hello";' });
  const exported = { "index.js": 'export const modern = "esm";' };
  const modern = await registry.publish("modern", exported, { type: "module" });
  await using stack = await startStack();
  const own = { name: "scripts", version: "1.0.0", type: "module" };
  const dependencies = { greeting: "1.0.0", modern: "1.0.0" };
  const packages = {
    "": { ...own, dependencies },
    "node_modules/greeting": greeting,
    "node_modules/modern": modern,
  };
  const home = await stack.project({
    "towpath.config.ts": CONFIG.replace("REGISTRY", JSON.stringify(join(stack.folder, "registry"))),
    "package.json": JSON.stringify({ ...own, dependencies }),
    "package-lock.json": JSON.stringify({ ...own, lockfileVersion: 3, requires: true, packages }),
    "flow.ts": FLOW,
    "scripts/main.js": MAIN,
    "scripts/child.cjs": CHILD,
    // The deploy reads the flow, so its packages are there as after `npm install`.
    "node_modules/greeting/package.json": '{ "name": "greeting", "version": "1.0.0", "main": "index.js" }',
    "node_modules/greeting/index.js": 'module.exports = "of the deployer";',
  });
  const deployed = await stack.towpath(["deploy", "--project", home]);
  expect(deployed.code, deployed.output).toBe(0);
  const worker = await stack.startWorker({ settings: { npm: { registry: registry.url } } });
  const logOf = async (name: string) => {
    const runId = await stack.run(name);
    const run = await stack.waitForRun(runId);
    const { output } = await stack.towpath(["logs", runId]);
    expect(run, output + worker.output()).toMatchObject({ state: "completed" });
    return output;
  };
  const script = await logOf("script");
  expect(script).toContain("import esm require hello");
  expect(script).toContain("child hello");
  expect(script).toContain("ERR_MODULE_NOT_FOUND");
  const flow = await logOf("greets");
  expect(flow).toContain("flow hello");
  expect(flow).toContain("require hello");
  expect(await logOf("other")).toContain("found nothing");
  expect(registry.asked.filter((path) => path.endsWith(".tgz"))).toHaveLength(2);
});
