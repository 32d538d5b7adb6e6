import { expect, test } from "vitest";
import { deployProject } from "../e2e/fixture.ts";
import type { Stack } from "../harness/index.ts";
import { chromiumPath, openBrowsing } from "./browser.fixture.ts";

const FLOW = `
import { flow, suspend } from "towpath";
import { z } from "zod";

const schema = z.object({ rate: z.number(), note: z.string().default("") });
export const release = flow({ name: "release", input: z.object({ model: z.string() }) }, async ({ model }) =>
  suspend.input({ title: "Publish " + model + "?", schema: z.boolean(), deadline: "3d" }));
export const tune = flow({ name: "tune" }, async () => suspend.input({ title: "Which rate?", schema }));
export const review = flow({ name: "review" }, async () =>
  suspend.input({ title: "Good enough?", schema: z.object({ approve: z.boolean(), note: z.string().default("") }) }));
export const landing = flow({ name: "landing" }, async () => suspend.event("landed", { key: "seven", schema: z.null() }));
`;
const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { landing, release, review, tune } from "./flows/release.ts";
export default defineConfig({
  project: "waits",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [deployment(landing, {}), deployment(release, {}), deployment(review, {}), deployment(tune, {})],
});
`;

let stack: Stack;
const { look } = openBrowsing(async (opened) => {
  stack = opened;
  await deployProject(stack, { "flows/release.ts": FLOW, "towpath.config.ts": CONFIG });
  await stack.startWorker();
});

async function suspendedRun(deployment: string, parameters = {}): Promise<string> {
  const runId = await stack.run(deployment, parameters);
  await stack.waitForRun(runId, (run) => run.state === "suspended");
  return runId;
}

const completed = async (runId: string) => (await stack.waitForRun(runId)).state;

test("towpath waits lists the questions of runs with the command that answers each, and with --all the other waits", async () => {
  expect((await stack.towpath(["waits"])).output).toContain("no run asks a question now");
  const first = await suspendedRun("release", { model: "oak" });
  const second = await suspendedRun("tune");
  const event = await suspendedRun("landing");
  const { output } = await stack.towpath(["waits"]);
  expect(output).toMatch(/Publish oak\?.*release.*needs the role operator, until [\s\S]*Which rate\?.*tune/);
  expect(output).toContain(`towpath answer ${first} yes`);
  expect(output).toContain(`towpath answer ${second} -p name=value`);
  expect(output).not.toContain(event);
  const narrowed = await stack.towpath(["waits", "--deployment", "tune", "--json"]);
  expect(JSON.parse(narrowed.output).items).toMatchObject([{ title: "Which rate?", runId: second }]);
  const all = await stack.towpath(["waits", "--all", "--limit", "2"]);
  expect(all.output).toMatch(new RegExp(`${first.slice(-8)} .*input +Publish oak\\?`));
  const rest = await stack.towpath(["waits", "--all", "--limit", "2", "--page", "2"]);
  expect(rest.output).toMatch(new RegExp(`${event.slice(-8)} .*event landed about "seven"`));

  expect((await stack.towpath(["answer", first, "yes"])).code).toBe(0);
  expect((await stack.towpath(["answer", second, "-p", "rate=0.5"])).code).toBe(0);
  expect((await stack.towpath(["event", "landed", "--about", "seven"])).code).toBe(0);
  expect(await Promise.all([first, second, event].map(completed))).toEqual(Array(3).fill("completed"));
  expect((await stack.towpath(["waits", "--all"])).output).toContain("no run waits");
});

test.skipIf(chromiumPath === undefined)(
  "A question appears on the page of waits, is answered with its form, and disappears",
  async () => {
    const { page, faults } = await look("/waits");
    await page.getByText("No open questions").waitFor();
    const runId = await suspendedRun("tune");
    const form = page.getByRole("form", { name: "Which rate?" });
    await form.getByLabel("rate").fill("0.25");
    await form.getByLabel("note").fill("as agreed");
    await form.getByRole("button", { name: "Answer" }).click();
    await page.getByText("No open questions").waitFor();
    expect(await completed(runId)).toBe("completed");
    const { items } = await stack.client.listWaits({ params: { runId } });
    expect(items[0]?.answer).toEqual({ rate: 0.25, note: "as agreed" });
    await page.getByRole("link", { name: "Answered" }).click();
    await page.locator("[data-wait]", { hasText: "Which rate?" }).getByText("answered by").first().waitFor();
    expect(faults).toEqual([]);
  },
);

test.skipIf(chromiumPath === undefined)(
  "Home shows an approver the open questions, until they are answered",
  async () => {
    const runId = await suspendedRun("release", { model: "elm" });
    const { page, faults } = await look("/");
    const panel = page.locator("section", { hasText: "Waiting for you" });
    await panel.getByText("Publish elm?").waitFor();
    // One click sends nothing.
    await panel.getByRole("radio", { name: "Reject" }).check();
    await panel.getByRole("button", { name: "Send: Reject" }).waitFor();
    await panel.getByRole("radio", { name: "Approve" }).check();
    expect((await stack.client.getRun({ params: { runId } })).state).toBe("suspended");
    await panel.getByRole("button", { name: "Send: Approve" }).click();
    await panel.waitFor({ state: "detached" });
    expect(await completed(runId)).toBe("completed");
    const tuned = await suspendedRun("tune");
    // A form with fields is closed until it is opened.
    await panel.getByText("Which rate?").waitFor();
    expect(await panel.getByRole("form").count()).toBe(0);
    await panel.getByRole("button", { name: "Answer: Which rate?" }).click();
    await panel.getByLabel("rate", { exact: true }).fill("0.5");
    await panel.getByRole("button", { name: "Answer", exact: true }).click();
    await panel.waitFor({ state: "detached" });
    expect(await completed(tuned)).toBe("completed");
    expect(faults).toEqual([]);
  },
);

test.skipIf(chromiumPath === undefined)(
  "A form with an untouched boolean is not sent, and the run shows who answered what",
  async () => {
    const runId = await suspendedRun("review");
    const { page, faults } = await look(`/runs/${runId}`);
    const form = page.getByRole("form", { name: "Good enough?" });
    await form.getByLabel("note").fill("looked at it");
    await form.getByRole("button", { name: "Answer" }).click();
    expect(await form.locator("input:invalid").count()).toBeGreaterThan(0);
    expect((await stack.client.getRun({ params: { runId } })).state).toBe("suspended");
    await form.getByRole("radio", { name: "Reject" }).check();
    await form.getByRole("button", { name: "Answer" }).click();
    const answer = page.locator("[data-answer]", { hasText: "approve: Rejected" });
    await answer.getByText(/^by admin/).waitFor();
    expect(await completed(runId)).toBe("completed");
    const { items } = await stack.client.listWaits({ params: { runId }, query: { kind: "input" } });
    expect(items).toMatchObject([{ answer: { approve: false, note: "looked at it" }, answeredBy: "admin" }]);
    expect(faults).toEqual([]);
  },
);

test("towpath answer takes yes and no for a boolean among other fields, and refuses an answer without it", async () => {
  const runId = await suspendedRun("review");
  const shown = await stack.towpath(["answer", runId]);
  expect(shown.output).toContain("-p approve=…  yes or no, required");
  const incomplete = await stack.towpath(["answer", runId, "-p", "note=hm"]);
  expect(incomplete.code).not.toBe(0);
  expect(incomplete.output).toContain("approve");
  const [wait] = (await stack.client.listWaits({ params: { runId } })).items;
  const params = { runId, waitId: wait?.id ?? "" };
  await expect(stack.client.answerWait({ params, body: { answer: { note: "hm" } } })).rejects.toMatchObject({
    code: "invalid-answer",
    faults: [{ path: "answer.approve" }],
  });
  const typo = await stack.towpath(["answer", runId, "-p", "approve=no", "-p", "notte=hm"]);
  expect(typo).toMatchObject({
    code: 65,
    output: expect.stringContaining('unknown field "notte"; did you mean "note"?'),
  });
  const answered = await stack.towpath(["answer", runId, "-p", "approve=no"]);
  expect(answered.code, answered.output).toBe(0);
  expect(await completed(runId)).toBe("completed");
  const { items } = await stack.client.listWaits({ params: { runId } });
  expect(items[0]?.answer).toMatchObject({ approve: false });
});

test.skipIf(chromiumPath === undefined)(
  "A link of a message opens the form with its choice, and nothing is sent before the button is pressed",
  async () => {
    const [release, review] = [await suspendedRun("release", { model: "ash" }), await suspendedRun("review")];
    const linkOf = async (runId: string, choice: string) => {
      const [wait] = (await stack.client.listWaits({ params: { runId } })).items;
      return `/runs/${runId}?question=${wait?.id}&choice=${choice}`;
    };
    const { page, faults } = await look(await linkOf(release, "reject"));
    await page.getByText("The link chose Reject.").waitFor();
    expect(await page.getByRole("radio", { name: "Reject" }).isChecked()).toBe(true);
    expect((await stack.client.getRun({ params: { runId: release } })).state).toBe("suspended");
    await page.getByRole("radio", { name: "Approve" }).check();
    await page.getByRole("button", { name: "Send: Approve" }).click();
    expect(await completed(release)).toBe("completed");
    await page.locator("[data-answer]").getByText("Approved").waitFor();

    const second = await look(await linkOf(review, "approve"));
    await second.page.getByLabel("note").fill("by link");
    await second.page.getByRole("button", { name: "Answer", exact: true }).click();
    expect(await completed(review)).toBe("completed");
    const { items } = await stack.client.listWaits({ params: { runId: review } });
    expect(items[0]?.answer).toEqual({ approve: true, note: "by link" });
    expect([...faults, ...second.faults]).toEqual([]);
  },
);
