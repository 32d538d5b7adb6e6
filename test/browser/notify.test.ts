import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeEach, expect, test } from "vitest";
import { deployHeld } from "../e2e/fixture.ts";
import type { Stack } from "../harness/index.ts";
import { chromiumPath, openBrowsing } from "./browser.fixture.ts";

const ENV = { TOWPATH_NOTIFY_PRIVATE: "1" };

let stack: Stack;
let received: { id: string; event: string }[];
const receiver = createServer((request, response) => {
  const parts: Buffer[] = [];
  request.on("data", (part: Buffer) => parts.push(part));
  request.on("end", () => {
    const { event } = JSON.parse(Buffer.concat(parts).toString()) as { event: string };
    received.push({ id: String(request.headers["webhook-id"]), event });
    response.writeHead(204).end();
  });
});
const address = () => `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/in`;

const { look } = openBrowsing(
  async (opened) => {
    stack = opened;
    await deployHeld(stack);
    await stack.startWorker();
    await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  },
  { controlEnv: ENV },
);
beforeEach(() => {
  received = [];
});
afterAll(() => {
  receiver.closeAllConnections();
  receiver.close();
});

test("A control plane that dies after sending a notification, before recording it, sends it again with the same id", async () => {
  await stack.client.createNotifier({ body: { name: "oncall", url: address(), events: ["failure"] } });
  stack.control.kill("SIGTERM");
  await stack.control.exited;
  await stack.restartControl({ env: { ...ENV, TOWPATH_FAILPOINTS: "notify:kill:1" } });
  await stack.run("thrower");
  await stack.control.exited;
  expect(received).toHaveLength(1);
  await stack.restartControl({ env: ENV });
  await expect.poll(() => received.length, { timeout: 60_000 }).toBe(2);
  expect(received[1]).toEqual(received[0]);
  const settled = async () =>
    (await stack.client.listDeliveries()).items.map(({ state, tries }) => [state, tries]);
  await expect.poll(settled, { timeout: 60_000 }).toEqual([["sent", 2]]);
  await stack.client.deleteNotifier({ params: { name: "oncall" } });
});

test.skipIf(chromiumPath === undefined)(
  "A notifier is added, tested and removed on its screen, and receives failures",
  async () => {
    const { page, faults } = await look("/notify");
    await page.getByRole("button", { name: "Add a notifier" }).click();
    await page.getByLabel("Name", { exact: true }).fill("team");
    await page.getByRole("textbox", { name: "URL" }).fill(address());
    await page.getByRole("checkbox", { name: "late" }).uncheck();
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await page.getByText("whsec_").waitFor();
    await page.getByRole("button", { name: "Done" }).click();
    const row = page.locator("[data-notifier=team]");
    await row.getByRole("button", { name: "Send a test" }).click();
    await row.getByText("✓ sent").waitFor();
    expect(received.map(({ event }) => event)).toEqual(["test"]);
    const runId = await stack.run("thrower");
    await page.locator(`a[href="/runs/${runId}"]`).waitFor({ timeout: 60_000 });
    expect(received.map(({ event }) => event)).toEqual(["test", "failure"]);
    expect(await page.getByText("/in").count()).toBe(0);
    await row.getByRole("button", { name: "Remove" }).click();
    await row.getByRole("button", { name: "Remove permanently" }).click();
    await page.getByText("No notifiers yet").waitFor();
    expect(faults).toEqual([]);
  },
);
