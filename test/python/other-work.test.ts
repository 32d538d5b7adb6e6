import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Stack, startStack } from "../harness/index.ts";
import { addEnvironment, hasPython } from "./interpreters.ts";

/** A flow that has tasks in another pool, a child run, and a resource with settings of its stage. */
const FLOW = `
from dataclasses import dataclass
from towpath import flow, from_secret, resource, run_child, task

@dataclass
class Settings:
    url: str
    password: str

@dataclass
class Model:
    rate: float
    rows: int

@resource(settings={"url": "memory://dev", "password": from_secret("db-password")})
def warehouse(settings: Settings):
    note(f"open {settings.url} {len(settings.password)}")
    yield settings.url
    note("close")

def note(text: str) -> None:
    with open(LEDGER, "a") as file:
        file.write(text + "\\n")

LEDGER = "__LEDGER__"

@task(retries=1)
def train(rows: list[int], rate: float) -> Model:
    note(f"train {rate}")
    return Model(rate, len(rows))

@task
def refuse() -> None:
    raise LookupError("no model")

@flow
def square(x: int) -> dict:
    return {"rate": x * x, "rows": 0}

@flow
def parent() -> list:
    url = warehouse.get()
    models = train.with_options(pool="gpu").map([[1, 2], [3]], 0.5).results()
    child = run_child("square", {"x": 3}, returns=Model)
    try:
        refuse.with_options(pool="gpu")()
    except LookupError as error:
        caught = f"{error} {type(error.__cause__).__name__}"
    return [url, [model.rows for model in models], child.rate, caught]
`;

const CONFIG = `
from towpath.config import deployment, oci_layout, project, stage
from work import parent, square

config = project(
    "work",
    pool="local",
    registry=oci_layout(REGISTRY),
    files=["work.py"],
    deployments=[deployment(parent, secrets=["db-password"], may_start=["square"]), deployment(square)],
    stages={"trial": stage(pools={"gpu": "big"}, resources={"warehouse": {"url": "memory://trial"}})},
)
`;

describe.skipIf(!hasPython)("a flow in Python that starts other work", { timeout: 180_000 }, () => {
  let stack: Stack;
  let ledger: string;

  beforeAll(async () => {
    stack = await startStack();
    ledger = join(await mkdtemp(join(tmpdir(), "towpath-work-")), "ledger");
    const home = await stack.project({
      "work.py": FLOW.replace("__LEDGER__", ledger),
      "towpath_config.py": CONFIG.replace("REGISTRY", JSON.stringify(join(stack.folder, "registry"))),
    });
    await addEnvironment(home);
    await stack.client.createPool({ body: { name: "big" } });
    const { secret } = await stack.client.createKey({ body: { kind: "worker", name: "big", pool: "big" } });
    const key = join(stack.folder, "big.key");
    await writeFile(key, secret, { mode: 0o600 });
    const deployed = await stack.towpath(["deploy", "--project", home, "--stage", "trial"]);
    expect(deployed.code, deployed.output).toBe(0);
    const env = { TOWPATH_SECRET_DB_PASSWORD: "s3cret" };
    await stack.startWorker({ env });
    await stack.startWorker({ name: "big", settings: { pool: "big", key: { file: key } }, env });
  });
  afterAll(() => stack?.[Symbol.asyncDispose]());

  test("gets results and errors of the other pool and of a child, and the settings of its stage", async () => {
    const runId = await stack.run("parent@trial");
    const run = await stack.waitForRun(runId);
    expect(run, JSON.stringify(run.error)).toMatchObject({ state: "completed" });
    const [file = "", offset = "0"] = (run.result?.uri ?? "").split("#");
    const { sizeBytes } = run.result as unknown as { sizeBytes: number };
    const bytes = await readFile(new URL(file));
    const result = JSON.parse(bytes.subarray(Number(offset), Number(offset) + sizeBytes).toString());
    expect(result).toEqual(["memory://trial", [2, 1], 9, "no model ChildFailed"]);
    const { items } = await stack.client.listRuns({ query: { parent: runId } });
    expect(items.map(({ name, pool }) => [name, pool]).sort()).toEqual([
      [null, "local"],
      ["refuse", "big"],
      ["train", "big"],
      ["train", "big"],
    ]);
    const steps = (await readFile(ledger, "utf8")).trim().split("\n");
    expect(steps.filter((step) => step.startsWith("train"))).toEqual(["train 0.5", "train 0.5"]);
    // Each attempt opens the resource and closes it, also before it is suspended.
    const opened = steps.filter((step) => step === "open memory://trial 6").length;
    expect(opened).toBeGreaterThan(1);
    expect(steps.filter((step) => step === "close")).toHaveLength(opened);
  });
});
