import { join } from "node:path";
import { deploymentNameOf } from "@towpath/contract";
import { expect, test } from "vitest";
import { caught, folderWith } from "../fixture.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { buildCode } from "./code.ts";
import { loadProject } from "./load-project.ts";
import { askStage } from "./stage.ts";

const CONFIG = `
import { resource } from "towpath";
import { defineConfig, deployment, fromSecret, ociLayout } from "towpath/config";
import { z } from "zod";

const warehouse = resource({
  name: "warehouse",
  config: z.object({ url: z.url(), password: z.string(), pool: z.object({ size: z.int().max(9) }).optional() }),
  settings: { password: fromSecret("db-password") },
  open: () => null,
});

export default defineConfig({
  project: "demo",
  pool: "local",
  registry: ociLayout("registry"),
  deployments: [
    deployment({ name: "train", command: ["true"], env: { LEVEL: "debug", KEPT: "yes" } }),
    deployment({ name: "elsewhere", command: ["true"], pools: ["gpu"] }),
  ],
  stages: {
    prod: {
      pool: "prod",
      env: { LEVEL: "warn" },
      pools: { gpu: "prod-gpu" },
      resources: [warehouse.settings({ url: "postgres://prod", password: fromSecret("db-password") })],
    },
    typo: { resources: [warehouse.settings({ urll: "postgres://typo", pool: { siz: 1 } })] },
    wrong: { resources: [warehouse.settings({ url: "postgres://wrong", pool: { size: 10 } })] },
    short: {},
  },
});
`;

async function project() {
  return await folderWith({ "towpath.config.ts": CONFIG, "package.json": '{ "type": "module" }' });
}

function load(root: string, stage?: string) {
  const folder = { root: join(root, ".towpath") } as never;
  return loadProject(root, { folder, stage });
}

const environment = { PATH: process.env.PATH };

test("a stage replaces the project's pool and variables, and adds its resources to the code", async () => {
  await using folder = await project();
  const loaded = await load(folder.root, "prod");
  expect(loaded.deployments.map(({ settings }) => [settings.pools, settings.env])).toEqual([
    [["prod"], { LEVEL: "warn", KEPT: "yes" }],
    [["gpu"], { LEVEL: "warn" }],
  ]);
  const { tree } = await buildCode(loaded, environment);
  const file = tree.find(({ path }) => path === "towpath.stage.json");
  expect(JSON.parse(new TextDecoder().decode(file?.bytes))).toEqual({
    stage: "prod",
    resources: { warehouse: { url: "postgres://prod", password: { $secret: "db-password" } } },
    pools: { gpu: "prod-gpu" },
  });
});

test("without a stage, all settings come from the code", async () => {
  await using folder = await project();
  const loaded = await load(folder.root);
  expect(loaded.deployments[0]?.settings).toMatchObject({ pools: ["local"], env: { LEVEL: "debug" } });
  const { tree } = await buildCode(loaded, environment);
  expect(tree.map(({ path }) => path)).not.toContain("towpath.stage.json");
});

test("a stage that the project does not have is refused, naming those it has", async () => {
  await using folder = await project();
  const failure = await caught(load(folder.root, "staging"));
  expect(failure).toMatchObject({
    message: 'The project has no stage "staging".',
    next: ["its stages: prod, typo, wrong, short, dev", expect.anything()],
  });
});

test("an unknown setting and a missing one are refused before anything is pushed, with their paths", async () => {
  await using folder = await project();
  expect(await caught(load(folder.root, "typo"))).toMatchObject({
    message: 'The stage "typo" has settings that its resources do not accept.',
    faults: [
      {
        path: "stages.typo.resources.warehouse.urll",
        message: 'unknown setting "urll"',
        suggestion: 'did you mean "url"?',
      },
      { path: "stages.typo.resources.warehouse.pool.siz" },
      { path: "stages.typo.resources.warehouse.url" },
      { path: "stages.typo.resources.warehouse.pool.size" },
    ],
  });
  expect(await caught(load(folder.root, "short"))).toMatchObject({
    faults: [{ path: "stages.short.resources.warehouse.url" }],
  });
});

test("a value that the resource's schema refuses is refused at deploy; the value of a secret is not checked", async () => {
  await using folder = await project();
  expect(await caught(load(folder.root, "wrong"))).toMatchObject({
    faults: [{ path: "stages.wrong.resources.warehouse.pool.size" }],
  });
});

test("every project has the stage dev, which changes only the deployment's name", async () => {
  await using folder = await project();
  const { deployments, stage } = await load(folder.root, "dev");
  expect(deployments.map(({ settings }) => deploymentNameOf(settings))).toEqual([
    "train@dev",
    "elsewhere@dev",
  ]);
  expect(deployments[0]?.settings).toMatchObject({ pools: ["local"], env: { LEVEL: "debug" } });
  expect(stage).toEqual({ name: "dev", resources: {}, pools: {} });
});

test("a deploy without a terminal must choose a stage if the project has some", async () => {
  const invocation = { output: { live: false } } as Invocation;
  const stages = ["prod", "test"];
  expect(await caught(askStage(invocation, { stages, choice: undefined }))).toMatchObject({
    code: "stage-missing",
    next: [
      "choose one: --stage prod, --stage test, --stage dev",
      "or add --no-stage to deploy without a stage",
    ],
  });
  expect(await askStage(invocation, { stages, choice: "test" })).toBe("test");
  expect(await askStage(invocation, { stages, choice: false })).toBeUndefined();
  expect(await askStage(invocation, { stages: [], choice: undefined })).toBeUndefined();
});
