import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Wheels } from "../../worker/src/environments/wheels.fixture.ts";
import { blocksOf, wordOf } from "../docs/blocks.ts";
import { type Stack, startStack } from "../harness/index.ts";
import { addEnvironment, hasPython, PYTHON_SDK } from "./interpreters.ts";

const FLOW = `
import sys
from towpath import flow, log, task

@task
def greet(name: str) -> str:
    import greeting
    return greeting.hello(name)

@flow
def hello(name: str) -> str:
    log.info(sys.prefix)
    return greet(name)
`;

const PAGE = new URL("../../docs/how-to/python-environments.md", import.meta.url);
const CONFIG =
  blocksOf(readFileSync(PAGE, "utf8")).find((block) => wordOf(block, "title") === "towpath_config.py")
    ?.text ?? "";

let stack: Stack;
let wheels: Wheels;

describe.skipIf(!hasPython)("a project with a lock", { timeout: 240_000 }, () => {
  beforeAll(async () => {
    stack = await startStack();
    wheels = new Wheels(join(stack.folder, "wheels"));
    const lines = [
      await wheels.addTowpath(PYTHON_SDK),
      await wheels.add("greeting", "def hello(name): return f'hello {name}'\n"),
    ];
    const home = await stack.project({
      "flows/hello.py": FLOW,
      "report.py": "import greeting\nprint(greeting.hello('report'))\n",
      "towpath_config.py": CONFIG.replace(
        '".towpath/registry"',
        JSON.stringify(join(stack.folder, "registry")),
      ),
      "requirements.txt": lines.join(""),
    });
    await addEnvironment(home);
    const deployed = await stack.towpath(["deploy", "--project", home]);
    expect(deployed.code, deployed.output).toBe(0);
    await stack.startWorker({ settings: { python: { indexes: { default: { folder: wheels.dir } } } } });
  });
  afterAll(() => stack?.[Symbol.asyncDispose]());

  async function linesOf(runId: string): Promise<string[]> {
    const page = await stack.client.getLogs({ params: { runId } });
    return page.entries.flatMap((entry) => (entry.kind === "line" ? [entry.text] : []));
  }

  test("runs its flows and its Python commands in the environment that the worker built", async () => {
    const runId = await stack.run("hello", { name: "Ada" });
    expect(await stack.waitForRun(runId)).toMatchObject({ state: "completed" });
    const [building, ready, prefix] = await linesOf(runId);
    expect(building).toMatch(/^Builds its Python environment: Python 3\.\d+, packages: 2\.$/);
    expect(ready).toMatch(/^The environment is ready after/);
    expect(prefix).toContain(join(stack.folder, "worker", "environments"));
    const script = await stack.run("report");
    expect(await stack.waitForRun(script)).toMatchObject({ state: "completed" });
    expect(await linesOf(script)).toEqual(["hello report"]);
  });
});
