import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { namespacesObstacle } from "../../worker/src/testing/walls.fixture.ts";
import { type Stack, startStack } from "../harness/index.ts";
import { PYTHON_SDK } from "../python/interpreters.ts";
import { venvWith } from "./venv.ts";

const CONFIG = (registry: string) => `
from flows import train
from towpath.config import deployment, oci_layout, project

config = project("books", pool="local", registry=oci_layout(${registry}), deployments=[deployment(train)])
`;
const cell = (source: string, tags: readonly string[] = []) => ({
  cell_type: "code",
  id: `c${source.length}`,
  metadata: { tags },
  source,
  outputs: [],
  execution_count: null,
});
const CELLS = [
  cell("n: int = 1", ["parameters"]),
  cell("print('given', n)", ["task:show"]),
  cell("if n == 3:\n    raise ValueError('three')\nif n == 4:\n    import time\n    time.sleep(600)"),
];

let stack: Stack;

/** Deploys a notebook, and starts a worker whose Python has the packages of the extra. */
beforeAll(async () => {
  const python = await venvWith(["ipykernel", "nbclient", "nbformat"]);
  stack = await startStack();
  const home = await stack.project({
    "train.ipynb": JSON.stringify({ nbformat: 4, nbformat_minor: 5, metadata: {}, cells: CELLS }),
    "flows.py": 'from towpath import notebook\n\ntrain = notebook("train.ipynb")\n',
    "towpath_config.py": CONFIG(JSON.stringify(join(stack.folder, "registry"))),
  });
  const program = join(home, ".venv/bin/python");
  await mkdir(join(home, ".venv/bin"), { recursive: true });
  await writeFile(program, `#!/bin/sh\nPYTHONPATH='${PYTHON_SDK}' exec '${python}' "$@"\n`);
  await chmod(program, 0o755);
  const deployed = await stack.towpath(["deploy", "--project", home]);
  expect(deployed.code, deployed.output).toBe(0);
  // Its cells run in namespaces where those are possible.
  const namespaces = namespacesObstacle() === null ? "required" : false;
  await stack.startWorker({ settings: { namespaces, python: { interpreters: { default: python } } } });
}, 1_200_000);
afterAll(() => stack?.[Symbol.asyncDispose]());

const artifactsOf = async (runId: string) =>
  JSON.stringify((await stack.client.listArtifacts({ params: { runId } })).items);

describe("a deployed notebook", () => {
  test("completes, with its cells as task runs", { timeout: 120_000 }, async () => {
    const runId = await stack.run("train", { n: 2 });
    expect(await stack.waitForRun(runId)).toMatchObject({ state: "completed" });
    const { items } = await stack.client.listTaskRuns({ params: { runId } });
    expect(items.map(({ name }) => name).sort()).toEqual(["cell 3", "parameters", "show"]);
    expect(await artifactsOf(runId)).toContain("3 of 3 cells completed");
  });

  test("fails with its cell and line, and shows the notebook", { timeout: 120_000 }, async () => {
    const runId = await stack.run("train", { n: 3 });
    const run = await stack.waitForRun(runId);
    expect(run.state).toBe("failed");
    expect(JSON.stringify(run)).toContain("line 2: ValueError: three");
    expect(await artifactsOf(runId)).toContain("2 of 3 cells completed");
  });

  test("is interrupted when its run is cancelled", { timeout: 120_000 }, async () => {
    const runId = await stack.run("train", { n: 4 });
    const isAsleep = async () =>
      (await stack.client.listTaskRuns({ params: { runId } })).items.some(
        ({ name, state }) => name === "cell 3" && state === "running",
      );
    await expect.poll(isAsleep, { timeout: 60_000 }).toBe(true);
    await stack.client.cancelRun({ params: { runId }, body: {} });
    expect(await stack.waitForRun(runId)).toMatchObject({ state: "cancelled" });
    expect(await artifactsOf(runId)).toContain("2 of 3 cells completed");
  });
});
