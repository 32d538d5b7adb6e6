import type { Flows } from "./languages.fixture.ts";

const TYPESCRIPT = `
import { access, appendFile, readFile, writeFile } from "node:fs/promises";
import { ctx, flow, job, suspend, task } from "towpath";
import { z } from "zod";

const note = (folder: string, text: string) => appendFile(folder + "/ledger", text + "\\n");
const there = (path: string) => access(path).then(() => true, () => false);
const load = task({ name: "load" }, async ({ folder, n }: { folder: string; n: number }) => {
  await note(folder, "load " + n);
  return n;
});
const shared = task({ name: "shared", cache: true, checkpoint: false }, async (folder: string) => note(folder, "shared"));
const input = z.object({ folder: z.string() });
export const chain = flow({ name: "chain", input }, async ({ folder }) => {
  const loaded: number[] = [];
  for (let n = 0; n < 8; n++) loaded.push(await load.with({ key: String(n) })({ folder, n }));
  // The path of this call has the hash of its input.
  loaded.push(await load({ folder, n: 8 }));
  await shared(folder);
  await note(folder, "got " + loaded.join(" "));
  throw new Error("after the tasks");
});

const away = task({ name: "away" }, async (given: { folder: string; n: number }) => {
  await note(given.folder, "away " + given.n);
  return "away " + given.n;
});
export const remote = flow({ name: "remote", input: input.extend({ n: z.number() }) }, async ({ folder, n }) => {
  await note(folder, "got " + (await away.with({ pool: "gpu" })({ folder, n })));
});
export const child = flow({ name: "child", input: input.extend({ n: z.number() }) }, async ({ n }) => "child " + n);
export const parent = flow({ name: "parent", input: input.extend({ n: z.number() }) }, async ({ folder, n }) => {
  await note(folder, "got " + (await ctx.runDeployment("child", { folder, n })));
});

const ref = z.object({ uri: z.string(), codec: z.string(), sizeBytes: z.number(), sha256: z.string() });
export const loader = flow({ name: "loader", input: input.extend({ value: ref }) }, async ({ folder, value }) => {
  await note(folder, "loaded " + (await ctx.load(value)));
});
export const saver = flow({ name: "saver", input: input.extend({ n: z.number() }) }, async ({ folder, n }) => {
  await ctx.runDeployment("loader", { folder, value: { ...(await ctx.save("value", "value " + n)) } });
});

export const probe = job({
  name: "probe",
  pollEvery: "1s",
  submit: async (_key, given: { folder: string; name: string }) => {
    await note(given.folder, "submit " + given.name);
    return given;
  },
  poll: async ({ folder, name }: { folder: string; name: string }) => {
    await note(folder, "poll " + name);
    if (!(await there(folder + "/done"))) return { state: "running", says: "running " + name };
    return { state: "completed", result: "result of " + name };
  },
});
export const probes = flow({ name: "probes", input: input.extend({ name: z.string() }) }, async ({ folder, name }) => {
  await note(folder, "got " + (await suspend.job(probe, { folder, name })));
});
`;
const PYTHON = `
from pathlib import Path
from towpath import Cache, flow, run_child, save, task
from towpath import load as load_ref

def note(folder: str, text: str) -> None:
    with open(Path(folder) / "ledger", "a") as file:
        file.write(text + "\\n")

@task
def load(folder: str, n: int) -> int:
    note(folder, f"load {n}")
    return n

@task(cache=Cache(), checkpoint=False)
def shared(folder: str) -> None:
    note(folder, "shared")

@flow
def chain(folder: str) -> None:
    loaded = [load.with_options(key=str(n))(folder, n) for n in range(8)]
    # The path of this call has the hash of its input.
    loaded.append(load(folder, 8))
    shared(folder)
    note(folder, "got " + " ".join(map(str, loaded)))
    raise RuntimeError("after the tasks")

@flow
def passer(folder: str, value: dict) -> None:
    run_child("loader@typescript", {"folder": folder, "value": value})

@flow
def loader(folder: str, value: dict) -> None:
    note(folder, f"loaded {load_ref(value)}")

@flow
def saver(folder: str, n: int, to: str) -> None:
    run_child(f"loader@{to}", {"folder": folder, "value": save("value", f"value {n}")})
`;
const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { chain, child, loader, parent, probes, remote, saver } from "./flows/refs.ts";
export default defineConfig({
  project: "refs",
  pool: "local",
  stages: { typescript: {} },
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [
    deployment(chain),
    deployment(remote),
    deployment(child),
    deployment(parent, { mayStart: ["child"] }),
    deployment(probes),
    deployment(loader),
    deployment(saver, { mayStart: ["loader"] }),
  ],
});
`;
const PYTHON_CONFIG = `
from flows.refs import chain, loader, passer, saver
from towpath.config import deployment, oci_layout, project, stage

config = project(
    "refs",
    pool="local",
    stages={"python": stage()},
    registry=oci_layout(REGISTRY),
    deployments=[
        deployment(chain),
        deployment(loader),
        deployment(passer, may_start=["loader@typescript"]),
        deployment(saver, may_start=["loader@typescript", "loader@python"]),
    ],
)
`;

/** Flows whose refs a control plane could change: of results, arguments, child runs and external jobs. */
export const REF_FLOWS: Flows = {
  typescript: { "flows/refs.ts": TYPESCRIPT, "towpath.config.ts": CONFIG },
  python: { "flows/refs.py": PYTHON, "towpath_config.py": PYTHON_CONFIG },
};
