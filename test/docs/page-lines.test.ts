import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startStack } from "../harness/index.ts";
import { addEnvironment, hasPython } from "../python/interpreters.ts";
import { runPage } from "./run-page.ts";

let stack: Stack;

beforeAll(async () => {
  stack = await startStack();
  const gpus = ["0", "1"].map((id) => ({ id, kind: "a100" }));
  const worker = await stack.startWorker({
    settings: { compute: { cpu: 2, memory: "4 GiB", gpus, licences: 2 } },
  });
  await worker.waitFor(/polling for work/);
});
afterAll(() => stack?.[Symbol.asyncDispose]());

test.each([
  ["docs/tutorial/first-flow.md", { files: 2, lines: 4 }],
  ["docs/how-to/schedules.md", { files: 2, lines: 4 }],
  ["docs/how-to/limits.md", { files: 3, lines: 15 }],
  ["docs/how-to/compute.md", { files: 2, lines: 5 }],
  ["docs/how-to/test-a-flow.md", { files: 4, lines: 2 }],
  ["docs/how-to/resume.md", { files: 2, lines: 2 }],
  ["docs/how-to/wait-for-people-and-events.md", { files: 4, lines: 5 }],
  ["docs/how-to/remote-tasks.md", { files: 2, lines: 1 }],
  ["docs/how-to/external-jobs.md", { files: 4, lines: 3 }],
  ["docs/how-to/notify.md", { files: 0, lines: 6 }],
  ["docs/how-to/artifacts.md", { files: 1, lines: 1 }],
  ["docs/how-to/runs-from-code.md", { files: 6, lines: 5 }],
  ["docs/how-to/stages.md", { files: 2, lines: 5 }],
  ["docs/how-to/manage-deployments.md", { files: 3, lines: 9 }],
  ["docs/how-to/pass-data.md", { files: 1, lines: 1 }],
  ["docs/how-to/tasks.md", { files: 7, lines: 9 }],
  ["docs/how-to/secrets.md", { files: 2, lines: 1 }],
  ["docs/how-to/deployed-files.md", { files: 1, lines: 0 }],
  ["docs/how-to/lost-machines.md", { files: 1, lines: 0 }],
])("%s does what it says, line by line", { timeout: 180_000 }, async (page, least) => {
  const home = await stack.project({});
  const did = await runPage(page, { stack, home });
  expect(did.files).toBeGreaterThanOrEqual(least.files);
  expect(did.lines).toBeGreaterThanOrEqual(least.lines);
});

test.skipIf(!hasPython)("docs/tutorial/first-python-flow.md does what it says, line by line", async () => {
  const home = await stack.project({});
  await addEnvironment(home);
  const did = await runPage("docs/tutorial/first-python-flow.md", { stack, home });
  expect(did).toEqual({ files: 3, lines: 11 });
});
