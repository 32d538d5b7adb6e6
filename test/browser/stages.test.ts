import { expect, test } from "vitest";
import type { Stack } from "../harness/index.ts";
import { openBrowsing } from "./browser.fixture.ts";

const CONFIG = (folder: string, command: string[] = ["true"]) => `
import { defineConfig, deployment, ociLayout } from "towpath/config";

export default defineConfig({
  project: "stages",
  pool: "local",
  registry: ociLayout(${JSON.stringify(`${folder}/registry`)}),
  deployments: [
    deployment({
      name: "churn",
      command: ${JSON.stringify(command)},
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

test("an earlier version shows the command that rolls back to it, and the latest shows none", async () => {
  const home = await stack.project({ "towpath.config.ts": CONFIG(stack.folder, ["true", "again"]) });
  const deployed = await stack.towpath(["deploy", "--stage", "test"], { cwd: home });
  expect(deployed.code, deployed.output).toBe(0);
  const { page, faults } = await look("/deployments/churn@test?tab=versions");
  await page.getByRole("heading", { name: "Version 2" }).waitFor();
  expect(await page.getByRole("button", { name: /Roll back/ }).count()).toBe(0);
  await page.getByRole("link", { name: "v1", exact: true }).click();
  await page.getByRole("button", { name: "Roll back to v1" }).click();
  const command = page.getByText("towpath deployments rollback churn@test 1", { exact: true });
  const [, ...words] = (await command.textContent())?.split(" ") ?? [];
  const done = await stack.towpath([...words, "--yes"]);
  expect(done.output).toContain("v3 of churn@test has the content of v1");
  await page.getByRole("link", { name: "v3", exact: true }).waitFor();
  expect(faults).toEqual([]);
});
