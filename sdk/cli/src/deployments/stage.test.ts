import { join } from "node:path";
import { expect, test } from "vitest";
import { caught, folderWith } from "../fixture.ts";
import { buildCode } from "./code.ts";
import { loadProject } from "./load-project.ts";

const CONFIG = `
import { defineConfig, deployment, fromSecret, ociLayout } from "towpath/config";

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
      resources: { warehouse: { url: "postgres://prod", password: fromSecret("db-password") } },
    },
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

test("a stage puts its pool and variables over the project's, and its resources into the code", async () => {
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

test("without a stage the code says everything", async () => {
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
    next: [expect.stringContaining("prod"), expect.anything()],
  });
});
