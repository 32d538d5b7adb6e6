import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { caught } from "../../fixture.ts";
import { buildCode } from "../code.ts";
import { loadProject } from "../load-project.ts";
import { reachOf } from "../reach.ts";
import { remoteTasksOf } from "../spec.ts";
import { describePython } from "./describe.ts";
import { hasPython, pythonProject, TRAIN } from "./project.fixture.ts";

if (!hasPython && process.env.CI) throw new Error("The tests of Python need python3 under CI. Install it.");
/** Wide: starting a process takes long on a busy machine. */
const LIMIT = { timeout: 120_000 };
const environment = { PATH: process.env.PATH };

const DATA = `[project]
name = "training"

[tool.towpath]
project = "training"
pool = "local"
registry = { oci_layout = ".towpath/registry" }

[tool.towpath.deployments.train]
flow = "flows/train.py:train_all"
timeout = "30m"
retry = { limit = 2, delay = "10s" }
schedules = [{ name = "nightly", timing = { cron = "0 3 * * *", zone = "Europe/Berlin" }, jitter = "1m" }]

[tool.towpath.deployments.say]
command = ["echo", "hello"]
parameters = { type = "object", properties = { day = { type = "string" } } }
`;

const IN_CODE = `from datetime import timedelta
from flows.train import train_all
from towpath.config import command, cron, deployment, every, oci_layout, project, stage

config = project(
    "training",
    pool="local",
    registry=oci_layout(".towpath/registry"),
    deployments=[
        deployment(train_all, timeout=timedelta(minutes=30), schedules=[{"name": "n", "timing": every("15m")}]),
        deployment("flows/train.py:train_all", name="again", tags=["again"]),
        command("say", ["echo", "hello"]),
    ],
    stages={"prod": stage(pool="prod")},
)
`;

function load(root: string, more: { stage?: string; imports?: boolean } = {}) {
  return loadProject(root, { folder: { root: join(root, ".towpath") } as never, ...more });
}

/** A project with one flow, and what describing it rejects with. */
async function failureOf(module: string, { name = "flow", limitSeconds = 60 } = {}): Promise<unknown> {
  await using folder = await pythonProject({ "flows/one.py": module });
  const flows = [{ module: "flows/one.py", function: name }];
  return await caught(describePython(folder.root, { config: null, flows, imports: true }, limitSeconds));
}

describe.skipIf(!hasPython)("a project in Python", LIMIT, () => {
  test("is described as data, with the parameters of the flow's signature", async () => {
    await using folder = await pythonProject({ ...TRAIN, "pyproject.toml": DATA });
    const project = await load(folder.root);
    expect(project).toMatchObject({ name: "training", configFile: "pyproject.toml" });
    const [train, say] = project.deployments;
    expect(train?.entry).toEqual({ kind: "python", module: "flows/train.py", function: "train_all" });
    expect(train?.settings).toMatchObject({
      deployment: "train",
      timeoutMs: 1_800_000,
      retry: { limit: 2, delayMs: 10_000 },
      schedules: [{ timing: { kind: "cron", zone: "Europe/Berlin" }, jitterMs: 60_000 }],
      parameters: { required: ["path"], properties: { depths: { default: [2, 4] } } },
    });
    expect(say).toMatchObject({
      entry: { kind: "command", argv: ["echo", "hello"] },
      settings: { parameters: { properties: { day: { type: "string" } } } },
    });
  });

  test("may allow pickle, in data and in code, and the entrypoint says so", async () => {
    const pickle = { kind: "python", module: "flows/train.py", function: "train_all", codecs: ["pickle"] };
    const data = DATA.replace('timeout = "30m"', 'codecs = ["pickle"]');
    await using asData = await pythonProject({ ...TRAIN, "pyproject.toml": data });
    expect((await load(asData.root)).deployments[0]?.entry).toEqual(pickle);
    const code = IN_CODE.replace("timeout=timedelta(minutes=30)", 'codecs=["pickle"]');
    await using asCode = await pythonProject({ ...TRAIN, "towpath_config.py": code });
    expect((await load(asCode.root)).deployments[0]?.entry).toEqual(pickle);
    const unknown = data.replace('["pickle"]', '["marshal"]');
    await using other = await pythonProject({ ...TRAIN, "pyproject.toml": unknown });
    expect(String(await caught(load(other.root)))).toContain("pyproject.toml is not valid");
  });

  test("is described in code, with flows by reference or by place", async () => {
    await using folder = await pythonProject({ ...TRAIN, "towpath_config.py": IN_CODE });
    const project = await load(folder.root, { stage: "prod" });
    const found = project.deployments.map(({ settings: one }) => [one.deployment, one.stage, one.pools]);
    expect(found).toEqual([
      ["train-all", "prod", ["prod"]],
      ["again", "prod", ["prod"]],
      ["say", "prod", ["prod"]],
    ]);
    expect(project.deployments[0]?.settings).toMatchObject({
      timeoutMs: 1_800_000,
      schedules: [{ timing: { kind: "interval", everyMs: 900_000 } }],
    });
  });

  test("has stages, whose settings of resources are checked", async () => {
    const flow = `from dataclasses import dataclass
from towpath import flow, resource

@dataclass
class Settings:
    url: str
    size: int = 4

@resource(settings={"url": "memory://dev"})
def warehouse(settings: Settings):
    yield settings

@resource(settings={"host": {"name": "h"}})
def queue(settings):
    yield settings

@flow
def read(): ...
`;
    const config = (prod: string) => `${DATA.split("[tool.towpath.deployments")[0]}
[tool.towpath.deployments.read]
flow = "flows/read.py:read"
[tool.towpath.stages.prod.resources]
${prod}
`;
    const good = 'warehouse = { url = "memory://prod", size = 8 }\nqueue = { host = { name = "p" } }';
    await using folder = await pythonProject({ "flows/read.py": flow, "pyproject.toml": config(good) });
    const { stage } = await load(folder.root, { stage: "prod" });
    expect(stage?.resources).toEqual({
      warehouse: { url: "memory://prod", size: 8 },
      queue: { host: { name: "p" } },
    });
    const bad = "warehouse = { sise = 8 }\nqueue = { host = { nmae = 1 } }\nwarehose = {}";
    await using other = await pythonProject({ "flows/read.py": flow, "pyproject.toml": config(bad) });
    const failure = await caught(load(other.root, { stage: "prod" }));
    expect(failure).toMatchObject({
      faults: [
        { path: "stages.prod.resources.warehose", suggestion: 'did you mean "warehouse"?' },
        { path: "stages.prod.resources.warehouse.sise", suggestion: 'did you mean "size"?' },
        { path: "stages.prod.resources.queue.host.nmae", suggestion: "known: name" },
      ],
    });
  });

  test("signs the pools and needs of its remote tasks, and the needs of its flow", async () => {
    const flow = `from towpath import flow, task

@task(compute={"gpu": {"count": 1, "kind": "a100"}})
def fit(x: int): ...

@flow(compute={"cpu": 2})
def train():
    fit.with_options(pool="gpu")(1)
`;
    const data = `${DATA.split("[tool.towpath.deployments")[0]}
[tool.towpath.deployments.train]
flow = "flows/fit.py:train"
`;
    await using folder = await pythonProject({ "flows/fit.py": flow, "pyproject.toml": data });
    const project = await load(folder.root);
    const [train] = project.deployments;
    expect(train?.settings.compute).toMatchObject({ cpu: 2 });
    const { remote } = await buildCode(project, environment);
    if (train === undefined) throw new Error("The project has no deployment.");
    expect(remoteTasksOf(train, { remote, pools: { gpu: "local" } })).toEqual({
      fit: { pools: ["local"], compute: { gpu: { count: 1, kind: "a100" }, amounts: {} } },
    });
  });

  test("may be listed by a configuration in TypeScript", async () => {
    await using folder = await pythonProject({
      ...TRAIN,
      "package.json": '{ "type": "module" }',
      "towpath.config.ts": `import { defineConfig, deployment, ociLayout, pythonFlow } from "towpath/config";
export default defineConfig({ project: "both", pool: "local", registry: ociLayout("r"), deployments: [
  pythonFlow({ module: "flows/train.py", function: "train_all", timeoutMs: 1000 }),
  deployment({ name: "say", command: ["echo"] }),
] });`,
    });
    const [train] = (await load(folder.root)).deployments;
    expect(train).toMatchObject({
      entry: { kind: "python", function: "train_all" },
      settings: { deployment: "train-all", timeoutMs: 1000, parameters: { required: ["path"] } },
    });
  });

  test("is deployed with its modules, and without environments and bytecode", async () => {
    await using folder = await pythonProject({
      ...TRAIN,
      "pyproject.toml": DATA,
      "env/pyvenv.cfg": "",
      "env/lib/package.py": "",
      "flows/__pycache__/lib.cpython-312.pyc": "",
      "flows/lib.pyc": "",
    });
    const { tree, warnings } = await buildCode(await load(folder.root), environment);
    expect(tree.map(({ path }) => path)).toEqual(["flows/lib.py", "flows/train.py", "pyproject.toml"]);
    expect(warnings).toEqual([]);
  });

  test("says which modules are not part of the code", async () => {
    const files = (list: string) => DATA.replace('pool = "local"', `pool = "local"\nfiles = ${list}`);
    await using without = await pythonProject({ ...TRAIN, "pyproject.toml": files('["flows/lib.py"]') });
    expect(await caught(buildCode(await load(without.root), environment))).toMatchObject({
      code: "module-not-in-code",
      message: "flows/train.py is not part of the code.",
    });
    await using partly = await pythonProject({ ...TRAIN, "pyproject.toml": files('["flows/train.py"]') });
    const { warnings } = await buildCode(await load(partly.root), environment);
    expect(warnings.join()).toMatch(/flows\/train\.py imports flows\/lib\.py, which is not part of the code/);
  });

  test("reaches what its module imports, and no other module", async () => {
    const reachWith = async (files: Record<string, string>) => {
      await using folder = await pythonProject({ ...TRAIN, "pyproject.toml": DATA, ...files });
      const project = await load(folder.root);
      const { sources } = await buildCode(project, environment);
      const [train] = project.deployments;
      return train && reachOf(train.entry, sources);
    };
    const before = await reachWith({});
    expect(await reachWith({ "flows/other.py": "x = 1" })).toBe(before);
    expect(await reachWith({ "flows/lib.py": "def double(x):\n    return x + x\n" })).not.toBe(before);
    expect(await reachWith({ "data.json": "{}" })).not.toBe(before);
  });

  test("is read without importing anything where its parameters are declared", async () => {
    const files = { ...TRAIN, "flows/train.py": "import cuda_that_is_not_here\n" };
    await using folder = await pythonProject({
      ...files,
      "pyproject.toml": DATA.replace('timeout = "30m"', 'parameters = "train.schema.json"'),
      "train.schema.json": '{ "type": "object", "required": ["path"] }',
    });
    const [train] = (await load(folder.root, { imports: false })).deployments;
    expect(train?.settings).toMatchObject({
      parameters: { type: "object", required: ["path"] },
      dueInput: false,
    });
    await using due = await pythonProject({
      ...files,
      "pyproject.toml": DATA.replace('timeout = "30m"', "parameters = {}\ndue_input = true"),
    });
    expect((await load(due.root, { imports: false })).deployments[0]?.settings.dueInput).toBe(true);
    await using inCode = await pythonProject({
      ...files,
      "towpath_config.py": IN_CODE.replace("from flows.train import train_all\n", "").replace(
        /deployment\(train_all,.*\n.*"again", tags=\["again"\]\)/,
        'deployment("flows/train.py:train_all", name="train", parameters={"type": "object"}, due_input=True)',
      ),
    });
    expect((await load(inCode.root, { imports: false })).deployments[0]?.settings).toMatchObject({
      parameters: { type: "object" },
      dueInput: true,
    });
    await using undeclared = await pythonProject({ ...files, "pyproject.toml": DATA });
    expect(await caught(load(undeclared.root, { imports: false }))).toMatchObject({
      message: expect.stringContaining('The parameters of "train" are not declared'),
      next: [expect.stringContaining("[tool.towpath.deployments.train]"), expect.anything()],
    });
  });
});

describe.skipIf(!hasPython)("a Python module is refused that", LIMIT, () => {
  test("fails when it is imported: with its error and place", async () => {
    expect(await failureOf("def f():\n    raise KeyError('x')\nf()\n")).toMatchObject({
      code: "module-fails",
      message: "flows/one.py cannot be imported: KeyError: 'x'",
      next: ["at flows/one.py:2 in f", "at flows/one.py:3 in <module>"],
    });
  });

  test("has a syntax error: with its line", async () => {
    expect(await failureOf("x = 1\nx = = 2\n")).toMatchObject({
      code: "module-fails",
      next: [expect.stringContaining("at flows/one.py:2: x = = 2")],
    });
  });

  test("needs a package that is not installed", async () => {
    expect(await failureOf("import not_here_at_all.deep\n")).toMatchObject({
      code: "package-missing",
      message: expect.stringContaining('flows/one.py needs the package "not_here_at_all"'),
    });
  });

  test("calls sys.exit", async () => {
    expect(await failureOf("import sys\nsys.exit(3)\n")).toMatchObject({
      code: "module-exits",
      message: "flows/one.py ends the process when it is imported: sys.exit(3).",
    });
  });

  test("ends the process without an exception", async () => {
    expect(await failureOf("import os\nprint('bye', flush=True)\nos._exit(7)\n")).toMatchObject({
      code: "module-exits",
      message: "flows/one.py ended the Python process when it was imported, with exit code 7.",
      next: expect.arrayContaining(["bye"]),
    });
  });

  test("never ends: with the line where it is", async () => {
    const failure = await failureOf("import time\ntime.sleep(600)\n", { limitSeconds: 3 });
    expect(failure).toMatchObject({
      code: "module-hangs",
      message: "flows/one.py was not imported within 3 s.",
      next: expect.arrayContaining(["at flows/one.py:2 in <module>"]),
    });
  });

  test("has no such flow: with the closest one", async () => {
    const module = "from towpath import flow\n@flow\ndef train(): ...\n";
    expect(await failureOf(module, { name: "trian" })).toMatchObject({
      message: 'flows/one.py has no flow trian at its top. Did you mean "train"?',
    });
  });

  test("declares its flow inside of a function", async () => {
    await using folder = await pythonProject({
      "flows/one.py":
        "from towpath import flow\ndef make():\n    @flow\n    def inner(): ...\n    return inner\n",
      "towpath_config.py": IN_CODE.replace(
        "from flows.train import train_all",
        "from flows.one import make; train_all = make()",
      ),
    });
    expect(await caught(load(folder.root))).toMatchObject({
      message: expect.stringContaining('flow "inner" is not at the top of its module flows/one.py'),
    });
  });
});

test.skipIf(!hasPython)("what a module prints, and threads that it leaves, do no harm", LIMIT, async () => {
  const module = `import threading, time
from towpath import flow
print("{'not': 'the answer'}")
threading.Thread(target=time.sleep, args=(600,)).start()
@flow
def one(): ...
`;
  await using folder = await pythonProject({ "flows/one.py": module });
  const flows = [{ module: "flows/one.py", function: "one" }];
  const described = await describePython(folder.root, { config: null, flows, imports: true });
  expect(described.flows).toMatchObject([{ name: "one", files: ["flows/one.py"] }]);
});

describe("a configuration is refused that", LIMIT, () => {
  const faultOf = async (data: string) => {
    await using folder = await pythonProject({ ...TRAIN, "pyproject.toml": data });
    return await caught(load(folder.root, { imports: false }));
  };

  for (const [what, written, instead, fault] of [
    [
      "has an unknown option",
      "timeout =",
      "timeot =",
      { path: "tool.towpath.deployments.train.timeot", message: 'unknown option; did you mean "timeout"?' },
    ],
    ["has a wrong length of time", '"30m"', '"soon"', { path: "tool.towpath.deployments.train.timeout" }],
    [
      "has a wrong option of a retry",
      "limit = 2",
      "limit = -2",
      { path: "tool.towpath.deployments.train.retry.limit" },
    ],
    ["has no place of its flow", ":train_all", "", { path: "tool.towpath.deployments.train.flow" }],
    [
      "has neither a flow nor a command",
      'command = ["echo", "hello"]',
      "",
      { path: "tool.towpath.deployments.say" },
    ],
    [
      "has an unknown field",
      'pool = "local"',
      'poool = "local"\npool = "local"',
      { path: "tool.towpath.poool", message: 'unknown option; did you mean "pool"?' },
    ],
    ["has no registry", "oci_layout", "path", { path: "tool.towpath.registry" }],
  ] as const)
    test(what, async () => {
      expect(await faultOf(DATA.replace(written, instead))).toMatchObject({
        code: "bad-config",
        message: "pyproject.toml is not valid.",
        faults: [fault],
      });
    });

  test("is no TOML", async () => {
    expect(await faultOf("[tool.towpath]\nproject = training\n")).toMatchObject({
      message: expect.stringContaining("pyproject.toml is no valid TOML: line 2"),
    });
  });

  test("is there twice", async () => {
    await using both = await pythonProject({ "towpath.config.ts": "", "towpath_config.py": "" });
    expect(await caught(load(both.root))).toMatchObject({
      message: "The project has two configurations: towpath.config.ts and towpath_config.py.",
    });
    await using beside = await pythonProject({ "towpath_config.py": "", "pyproject.toml": DATA });
    expect(await caught(load(beside.root))).toMatchObject({
      message:
        "The project is described twice: in towpath_config.py, and by tool.towpath.project in pyproject.toml.",
    });
  });

  test.skipIf(!hasPython)("names an option in Python that does not exist", async () => {
    await using folder = await pythonProject({
      ...TRAIN,
      "towpath_config.py": IN_CODE.replace("timeout=", "time_out="),
    });
    expect(await caught(load(folder.root))).toMatchObject({
      message: expect.stringMatching(
        /deployment "train-all" has no option "time_out". Did you mean "timeout"\?/,
      ),
      next: ["at towpath_config.py:10 in <module>"],
    });
  });

  test.skipIf(!hasPython)("has two deployments of one name", async () => {
    await using folder = await pythonProject({
      ...TRAIN,
      "towpath_config.py": IN_CODE.replace('name="again", ', ""),
    });
    expect(await caught(load(folder.root))).toMatchObject({
      message: expect.stringContaining('project "training" has two deployments called "train-all"'),
    });
  });
});
