import postgres from "postgres";
import { expect, test } from "vitest";
import type { Stack } from "../harness/index.ts";
import { chromiumPath, openBrowsing } from "./browser.fixture.ts";

const CONFIG = (folder: string) => `
import { defineConfig, deployment, ociLayout } from "towpath/config";

export default defineConfig({
  project: "shop",
  pool: "local",
  registry: ociLayout(${JSON.stringify(`${folder}/registry`)}),
  deployments: [
    deployment({
      name: "prices",
      command: ["true"],
      schedules: [{ name: "nightly", timing: { kind: "cron", cron: "0 3 * * *" } }],
    }),
  ],
});
`;

let stack: Stack;
let runId: string;
const { look } = openBrowsing(async (started) => {
  stack = started;
  const worker = await stack.startWorker();
  const home = await stack.project({ "towpath.config.ts": CONFIG(stack.folder) });
  const deployed = await stack.towpath(["deploy"], { cwd: home });
  expect(deployed.code, deployed.output).toBe(0);
  runId = await stack.run("prices");
  await stack.waitForRun(runId);
  worker.kill("SIGTERM");
  await worker.exited;
});

/** Sets when workers were last seen, so that they count as offline. */
async function makeOffline(): Promise<void> {
  const sql = postgres(stack.databaseUrl, { max: 1 });
  await sql`update worker set last_seen_at = last_seen_at - interval '2 minutes'`;
  await sql.end();
}

test.skipIf(chromiumPath === undefined)("an offline worker, a run and a deployment are removed", async () => {
  await makeOffline();
  const pools = await look("/pools");
  await pools.page.getByRole("button", { name: "Remove worker…" }).click();
  await pools.page.getByRole("dialog").getByText("If the worker starts again").waitFor();
  await pools.page.getByRole("button", { name: "Remove the worker" }).click();
  await pools.page.getByText("No worker serves this pool.").waitFor();
  expect(pools.faults).toEqual([]);

  const { page, faults } = await look(`/runs/${runId}`);
  await page.locator("summary").filter({ hasText: "More of this run" }).click();
  await page.getByRole("button", { name: "Remove…" }).click();
  const dialog = page.getByRole("dialog", { name: "Remove this run?" });
  await dialog.getByText("The values in your store").waitFor();
  await dialog.getByRole("button", { name: "Remove the run" }).click();
  await page.getByText(/Removed run [0-9a-f]+ of prices\./).waitFor();
  await page.waitForURL((url) => url.pathname === "/runs");
  await expect.poll(() => page.locator(`a[href="/runs/${runId}"]`).count()).toBe(0);
  expect(faults).toEqual([]);
});

test.skipIf(chromiumPath === undefined)(
  "a deployment with an open run is kept with a reason, and is removed after the run has ended",
  async () => {
    const open = await stack.run("prices");
    const { page } = await look("/deployments/prices");
    await page.getByRole("button", { name: "Remove…" }).click();
    const dialog = page.getByRole("dialog", { name: "Remove prices?" });
    await dialog.getByText("1 schedule, its limit").waitFor();
    await dialog.getByRole("button", { name: "Remove the deployment" }).click();
    await dialog.getByText(`such as ${open}`).waitFor();
    await stack.client.cancelRun({ params: { runId: open }, body: { reason: "" } });
    await dialog.getByRole("button", { name: "Remove the deployment" }).click();
    await page.waitForURL((url) => url.pathname === "/deployments");
    await expect.poll(() => page.getByRole("link", { name: "prices" }).count()).toBe(0);
    await page.goto(`${stack.url}/runs/${open}`);
    await page.getByRole("heading", { name: "prices" }).waitFor();
  },
);
