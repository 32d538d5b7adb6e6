import type { BatchCluster, Stack } from "../harness/index.ts";
import { deployFlows, type Language } from "./languages.fixture.ts";

/** Submits a job to a cluster and returns the job's result. A test can make it die or stop once, at a named point. */
const TYPESCRIPT = `
import { access, rm, writeFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { flow, job, suspend, task } from "towpath";
import { z } from "zod";

type Input = { cluster: string; folder: string; die: string };
type Handle = { cluster: string; id: string };
const isThere = (path: string) => access(path).then(() => true, () => false);
// The file of another attempt has another user.
async function write(path: string, text: string) {
  await rm(path, { force: true });
  await writeFile(path, text);
}
async function dieOnce({ folder, die }: Input, place: string) {
  const [at, how] = die.split(":");
  if (at !== place || (await isThere(folder + "/died"))) return;
  await writeFile(folder + "/died", "");
  if (how === "stand") setInterval(() => {}, 60_000);
  else process.kill(process.pid, "SIGKILL");
  await new Promise(() => {});
}
async function ask(path: string, init?: RequestInit) {
  const answer = await fetch(path, init);
  if (!answer.ok) throw new Error("the cluster answers " + answer.status);
  return await answer.json();
}
const submitTo = async (key: string, input: Input, callbackUrl: string | null) => {
  await dieOnce(input, "before-submit");
  const { id } = await ask(input.cluster + "/jobs", { method: "POST", body: JSON.stringify({ key, callbackUrl }) });
  await dieOnce(input, "before-handle");
  return { cluster: input.cluster, id };
};
const CLUSTER = process.env.CLUSTER ?? "";
const find = async (key: string) => {
  const found = await ask(CLUSTER + "/jobs?key=" + key);
  return found && { cluster: CLUSTER, id: String(found.id) };
};
const cancel = async ({ cluster, id }: Handle) => {
  await ask(cluster + "/jobs/" + id, { method: "DELETE" });
};
export const train = job({
  name: "train",
  pollEvery: "1s",
  submit: (key, input: Input) => submitTo(key, input, null),
  find,
  poll: async ({ cluster, id }) => {
    const { status } = await ask(cluster + "/jobs/" + id);
    if (status === "SUCCEEDED") return { state: "completed", result: { id, polledBy: process.pid } };
    if (status === "RUNNING") return { state: "running", says: status };
    return { state: "failed", error: "the cluster says " + status };
  },
  cancel,
});
export const called = job({
  name: "called",
  callback: true,
  submit: (key, input: Input, { callbackUrl }) => submitTo(key, input, callbackUrl),
  find,
  cancel,
});
const lurk = task({ name: "lurk", checkpoint: false }, async (input: Input) => {
  if (!input.die.startsWith("after-handle") || (await isThere(input.folder + "/died"))) return;
  while (!(await isThere(input.folder + "/now"))) await pause(20);
  await dieOnce(input, "after-handle");
});
const input = z.object({ cluster: z.string(), folder: z.string(), die: z.string().default("") });
export const trains = flow({ name: "trains", input }, async (given) => {
  await write(given.folder + "/flow", String(process.pid));
  await dieOnce(given, "before-intent");
  const [trained] = await Promise.all([suspend.job(train, given), lurk(given)]);
  await write(given.folder + "/result", JSON.stringify({ ...trained, ranIn: process.pid }));
});
export const calls = flow({ name: "calls", input }, async (given) => {
  const result = await suspend.job(called, given);
  await write(given.folder + "/result", JSON.stringify(result ?? null));
});
`;
const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { calls, trains } from "./flows/trains.ts";
const retry = { limit: 5, delayMs: 0, causes: ["lost", "killed", "error"] };
const env = { CLUSTER: CLUSTER_URL };
export default defineConfig({
  project: "jobs",
  pool: "local",
  stages: { typescript: {} },
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [deployment(trains, { retry, env, killGraceMs: 1_000, onDisconnect: "continue", lostAfterMs: 2_000 }), deployment(calls, { retry, env })],
});
`;
const PYTHON = `
import asyncio, json, os, signal, time, urllib.error, urllib.request
from pathlib import Path
from towpath import Job, JobStatus, flow, suspend, task

CLUSTER = os.environ.get("CLUSTER", "")

def write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)  # The file of another attempt has another user.
    path.write_text(text)

def die_once(folder: str, die: str, place: str) -> None:
    at, _, how = die.partition(":")
    died = Path(folder) / "died"
    if at != place or died.exists():
        return
    died.write_text("")
    if how != "stand":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(600)

def ask(address: str, method: str = "GET", body: object = None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(address, data, method=method), timeout=20) as answer:
        text = answer.read()
    return json.loads(text) if text else None

def submit_to(key: str, given: dict, callback_url: str | None) -> dict:
    die_once(given["folder"], given["die"], "before-submit")
    found = ask(given["cluster"] + "/jobs", "POST", {"key": key, "callbackUrl": callback_url})
    die_once(given["folder"], given["die"], "before-handle")
    return {"cluster": given["cluster"], "id": found["id"]}

def find(key: str) -> dict | None:
    found = ask(CLUSTER + "/jobs?key=" + key)
    return None if found is None else {"cluster": CLUSTER, "id": str(found["id"])}

def poll(handle: dict) -> JobStatus:
    status = ask(handle["cluster"] + "/jobs/" + handle["id"])["status"]
    if status == "SUCCEEDED":
        return JobStatus("completed", {"id": handle["id"], "polledBy": os.getpid()})
    if status == "RUNNING":
        return JobStatus("running", says=status)
    return JobStatus("failed", error="the cluster says " + status)

def cancel(handle: dict) -> None:
    ask(handle["cluster"] + "/jobs/" + handle["id"], "DELETE")

train = Job(
    "train",
    submit=lambda key, given: submit_to(key, given, None),
    find=find,
    poll=poll,
    cancel=cancel,
    poll_every="1s",
)
called = Job("called", callback=True, submit=submit_to, find=find, cancel=cancel)

@task(checkpoint=False)
async def lurk(folder: str, die: str) -> None:
    if not die.startswith("after-handle") or (Path(folder) / "died").exists():
        return
    while not (Path(folder) / "now").exists():
        await asyncio.sleep(0.02)
    die_once(folder, die, "after-handle")

@flow
async def trains(cluster: str, folder: str, die: str = "") -> None:
    write(Path(folder) / "flow", str(os.getpid()))
    die_once(folder, die, "before-intent")
    given = {"cluster": cluster, "folder": folder, "die": die}
    trained, _ = await asyncio.gather(suspend.job(train, given), lurk(folder, die))
    write(Path(folder) / "result", json.dumps({**trained, "ranIn": os.getpid()}))

@flow
def calls(cluster: str, folder: str, die: str = "") -> None:
    result = suspend.job(called, {"cluster": cluster, "folder": folder, "die": die})
    write(Path(folder) / "result", json.dumps(result))
`;
const PYTHON_CONFIG = `
from flows.trains import calls, trains
from towpath.config import deployment, oci_layout, project, stage

retry = {"limit": 5, "delay": 0, "causes": ["lost", "killed", "error"]}
env = {"CLUSTER": CLUSTER_URL}
config = project(
    "jobs",
    pool="local",
    stages={"python": stage()},
    registry=oci_layout(REGISTRY),
    deployments=[
        deployment(trains, retry=retry, env=env, kill_grace="1s", on_disconnect="continue", lost_after="2s"),
        deployment(calls, retry=retry, env=env),
    ],
)
`;

/** Deploys `trains`, which polls its job, and `calls`, whose backend calls back, in the stage of a language. */
export async function deployJobs(
  stack: Stack,
  cluster: BatchCluster,
  language: Language,
  env: NodeJS.ProcessEnv = {},
): Promise<void> {
  const url = JSON.stringify(cluster.url);
  const flows = {
    typescript: {
      "flows/trains.ts": TYPESCRIPT,
      "towpath.config.ts": CONFIG.replace("CLUSTER_URL", url),
    },
    python: {
      "flows/trains.py": PYTHON,
      "towpath_config.py": PYTHON_CONFIG.replace("CLUSTER_URL", url),
    },
  };
  await deployFlows(stack, language, flows, env);
}
