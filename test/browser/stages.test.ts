import { expect, test } from "vitest";
import type { Stack } from "../harness/index.ts";
import { openBrowsing } from "./browser.fixture.ts";

const CONFIG = (folder: string) => `
import { defineConfig, deployment, ociLayout } from "towpath/config";

export default defineConfig({
  project: "stages",
  pool: "local",
  registry: ociLayout(${JSON.stringify(`${folder}/registry`)}),
  deployments: [
    deployment({
      name: "churn",
      command: ["true"],
      schedules: [{ name: "nightly", timing: { kind: "cron", cron: "0 3 * * *", zone: "UTC" } }],
    }),
  ],
  stages: { prod: {}, test: {} },
});
`;

let stack: Stack;
const { look } = openBrowsing(async (started) => {
  stack = started;
  const home = await stack.project({ "towpath.config.ts": CONFIG(stack.folder) });
  for (const stage of ["prod", "test", "dev"]) {
    const deployed = await stack.towpath(["deploy", "--stage", stage], { cwd: home });
    expect(deployed.code, deployed.output).toBe(0);
  }
});

test("stages live side by side: each has its schedule, and the page of one leads to the others", async () => {
  const paused = await stack.towpath(["schedule", "pause", "churn@prod", "nightly"]);
  expect(paused.output).toContain("schedule nightly of churn@prod is paused");
  const unclear = await stack.towpath(["run", "churn"]);
  expect(unclear.output).toContain('"churn" names several deployments: churn@dev, churn@prod, churn@test.');
  await stack.run("churn@test", {});
  const listed = await stack.towpath(["runs", "ls", "--stage", "test"]);
  expect(listed.output).toContain("churn@test");
  const { page, faults } = await look("/deployments");
  await page.getByRole("link", { name: "churn@prod" }).click();
  const stages = page.getByRole("navigation", { name: "Stages of churn" });
  await expect.poll(() => stages.getByRole("link").allTextContents()).toEqual(["dev", "prod", "test"]);
  await stages.getByRole("link", { name: "test" }).click();
  await page.getByRole("heading", { name: "churn@test" }).waitFor();
  expect(new URL(page.url()).pathname).toBe("/deployments/churn@test");
  expect(faults).toEqual([]);
});
