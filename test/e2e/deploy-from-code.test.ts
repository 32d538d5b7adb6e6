import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type DeployOptions, deploy } from "towpath/deploy";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Stack, startStack } from "../harness/index.ts";

const LIMIT = { timeout: 120_000 };
const flowText = (result: string) => `
import { flow } from "towpath";
export const price = flow({ name: "price" }, () => ${JSON.stringify(result)});
`;
const configText = (registry: string, pool = "local") => `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { price } from "./price.ts";
export default defineConfig({
  project: "shop",
  pool: "${pool}",
  registry: ociLayout(${JSON.stringify(registry)}, { name: "local" }),
  stages: { prod: {} },
  deployments: [deployment(price, {}), deployment(price, { name: "price-again" })],
});
`;

let stack: Stack;
let connection: { url: string; key: string };
beforeAll(async () => {
  stack = await startStack();
  const { secret: key } = await stack.client.createKey({ body: { kind: "api", name: "ci" } });
  connection = { url: stack.url, key };
}, 240_000);
afterAll(() => stack?.[Symbol.asyncDispose]());

async function shop({ pool, before = "" }: { pool?: string; before?: string } = {}) {
  const project = await stack.project({
    "price.ts": before + flowText("first"),
    "towpath.config.ts": configText(join(stack.folder, "registry"), pool),
  });
  const signingKeyFile = join(stack.folder, "keys/signing.jwk");
  return { project, options: { project, connection, signingKeyFile } satisfies DeployOptions };
}
const summary = ({ outcomes }: Awaited<ReturnType<typeof deploy>>) =>
  outcomes.map(({ deployment, version, status }) => `${deployment} v${version} ${status}`);

describe("deploy() of towpath/deploy", LIMIT, () => {
  test("registers what changed, and each call loads the files anew", async () => {
    const { project, options } = await shop();
    const plan = await deploy({ ...options, stage: "prod", deployments: ["price"], plan: true });
    expect(summary(plan)).toEqual(["price@prod v1 planned"]);
    const first = await deploy({ ...options, stage: "prod" });
    expect(summary(first)).toEqual(["price@prod v1 registered", "price-again@prod v1 registered"]);
    expect(first.code.largest[0]).toMatchObject({ path: expect.any(String), bytes: expect.any(Number) });
    const [signed] = first.outcomes;
    const { latest } = await stack.client.getDeployment({ params: { name: "price@prod" } });
    expect(latest).toMatchObject({ version: 1, keyId: signed?.keyId });
    await writeFile(join(project, "price.ts"), flowText("second"));
    const again = await deploy({ ...options, stage: "prod", deployments: ["price"] });
    expect(summary(again)).toEqual(["price@prod v2 registered"]);
    expect(summary(await deploy({ ...options, stage: "prod" }))).toEqual([
      "price@prod v2 unchanged",
      "price-again@prod v2 registered",
    ]);
  });

  test("of the same project by two processes at once registers one version after the other, or nothing new", async () => {
    const { options } = await shop();
    const both = await Promise.all([
      deploy({ ...options, stage: false }),
      deploy({ ...options, stage: false }),
    ]);
    expect(both.flatMap(({ outcomes }) => outcomes.map(({ version }) => version))).toHaveLength(4);
    expect(summary(await deploy({ ...options, stage: false }))).toEqual([
      expect.stringMatching(/^price v[12] unchanged$/),
      expect.stringMatching(/^price-again v[12] unchanged$/),
    ]);
  });

  test("throws what is wrong and what to do next", async () => {
    const { options } = await shop();
    const failure = (over: DeployOptions) =>
      deploy({ ...options, ...over }).catch((thrown: unknown) => thrown);
    expect(await failure({})).toMatchObject({ name: "DeployFailure", code: "stage-missing" });
    expect(await failure({ stage: "prdo" })).toMatchObject({
      message: 'The project has no stage "prdo".',
      next: [expect.stringContaining("prod"), expect.any(String)],
    });
    expect(await failure({ stage: "prod", deployments: ["--json"] })).toMatchObject({
      code: "deployment-not-found",
    });
    const wrong = { ...connection, key: "twp_api_wrong" };
    expect(await failure({ stage: "prod", connection: wrong })).toMatchObject({ code: "unauthenticated" });
    expect(await failure({ stage: "prod", signingKeyFile: "/nowhere" })).toMatchObject({
      code: "no-signing-key",
    });
    const { options: poolless } = await shop({ pool: "nowhere" });
    expect(await failure({ ...poolless, stage: "prod" })).toMatchObject({ code: "pool-not-found" });
  });

  test("succeeds for a flow that prints when it is imported", async () => {
    const prints = 'console.log("loaded"); setInterval(() => process.stdout.write("tick\\n"), 1);\n';
    const { options } = await shop({ before: prints });
    const registered = await deploy({ ...options, stage: "prod", deployments: ["price"] });
    expect(summary(registered)).toEqual([expect.stringMatching(/^price@prod v\d+ registered$/)]);
    const unknown = deploy({ ...options, stage: "prod", deployments: ["prices"] });
    await expect(unknown).rejects.toMatchObject({ code: "deployment-not-found" });
  });

  test("fails if its process ends without a report", async () => {
    const failing = async (before: string) => {
      const { options } = await shop({ before });
      return deploy({ ...options, stage: "prod" }).catch((thrown: unknown) => thrown);
    };
    expect(await failing('process.kill(process.pid, "SIGKILL");\n')).toMatchObject({
      name: "DeployFailure",
      message: "The process of the deploy was stopped with SIGKILL before it printed a report.",
    });
    const last = 'console.error("{ not JSON"); process.kill(process.pid, "SIGKILL");\n';
    expect(await failing(last)).toMatchObject({ name: "DeployFailure", code: "internal" });
    expect(await failing("process.exit(0);\n")).toMatchObject({
      name: "DeployFailure",
      message: expect.stringContaining("without a report"),
      next: [expect.stringContaining("deploy again")],
    });
  });

  test("stops when its signal aborts", async () => {
    const { options } = await shop();
    const stopped = deploy({ ...options, stage: "prod", signal: AbortSignal.timeout(50) });
    await expect(stopped).rejects.toMatchObject({ name: "TimeoutError" });
  });
});
