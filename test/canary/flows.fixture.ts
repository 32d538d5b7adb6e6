import type { Language } from "../e2e/languages.fixture.ts";
import type { Canaries } from "./scan.ts";

/** `C` holds the canaries by their kinds. The job's backend is a folder. */
const TYPESCRIPT = `
import { access, writeFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { artifact, ctx, flow, job, log, secret, suspend, task } from "towpath";
import { z } from "zod";
import { C } from "./canaries.ts";

const isThere = (path: string) => access(path).then(() => true, () => false);
/** True once for each name and folder. */
async function once(folder: string, name: string) {
  if (await isThere(folder + "/" + name)) return false;
  await writeFile(folder + "/" + name, "");
  return true;
}
const useless = C["constant in the code"].length;

const plain = task({ name: "plain" }, async (given: string) => ({ rows: [C["result of a task"], given.length] }));
const cached = task({ name: "cached", cache: true }, async (given: string) => C["result of a cached task"] + given.length);
const fails = task({ name: "fails", retries: 1, retryDelay: "1ms" }, async () => {
  throw new RangeError(C["error of a task"]);
});
const far = task({ name: "far" }, async (given: string) => ({ model: C["result of a remote task"], of: given.length }));
const farFails = task({ name: "far-fails" }, async () => {
  throw new RangeError(C["error of a remote task"]);
});
const progress = task({ name: "progress" }, async (folder: string) => {
  const before = await ctx.kept<string>("half");
  await ctx.keep("half", C["kept progress"]);
  if (await once(folder, "crashed")) process.kill(process.pid, "SIGKILL");
  if (before !== C["kept progress"]) throw new Error("the progress is gone");
});

/** Its backend has no key. The test sends its callback. */
const called = job({
  name: "called",
  callback: true,
  idempotent: true,
  submit: async (key, { folder, name }: { folder: string; name: string }, { callbackUrl }) => {
    await writeFile(folder + "/" + name, callbackUrl ?? "");
    return { folder, secret: C["job's handle"] };
  },
});

const train = job({
  name: "train",
  pollEvery: "1s",
  submit: async (key, { folder, input, fails }: { folder: string; input: string; fails: boolean }) => {
    await writeFile(folder + "/" + key, input);
    return { folder, fails, secret: C["job's handle"] };
  },
  poll: async ({ folder, fails }) => {
    if (!(await isThere(folder + "/go"))) return { state: "running", says: C["job's status"] };
    return fails ? { state: "failed", error: C["job's error"] } : { state: "completed", result: { at: C["job's result"] } };
  },
});

export const child = flow({ name: "child", input: z.object({ given: z.string() }) }, async () => C["result of a child run"]);

const input = z.object({ folder: z.string(), given: z.string(), usual: z.string().default(C["default of a parameter"]) });
export const all = flow({ name: "all", input, runName: "named {given}" }, async ({ folder, given }, run) => {
  log.info("a line of " + C["log line"] + ", parameter " + given + ", secret " + secret("door-typescript"));
  console.log(C["printed line"] + process.env.MODE + Buffer.from(secret("door-typescript")).toString("base64"));
  await artifact.markdown({ key: "note", title: C["artifact's title"], text: C["artifact's body"] });
  await artifact.table({ key: "rows", columns: ["row"], rows: [[C["artifact's table"]]] });
  await artifact.image({ key: "picture", mediaType: "image/png", bytes: new TextEncoder().encode(C["artifact's image"]) });
  // Without a workspace key on the worker it is refused.
  await artifact.markdown({ key: "large", text: C["body of a large artifact"] + "x".repeat(40_000) }).catch(() => {});
  await artifact.link({ key: "place", url: "https://example.com/", text: C["artifact's link"] });
  await artifact.progress({ key: "part", total: 2, unit: C["artifact's unit"] }).update(1);
  await run.save("rows", { rows: [C["saved value"]] });
  await plain(C["argument of a task"]);
  await cached(C["argument of a cached task"]);
  await fails().catch(() => {});
  await progress(folder);
  await far.with({ pool: "gpu" })(C["argument of a remote task"]);
  await farFails.with({ pool: "gpu" })().catch(() => {});
  await suspend.job(train, { folder, input: C["job's input"], fails: false });
  await suspend.job(train, { folder, input: C["job's input"], fails: true }, { key: "second" }).catch(() => {});
  await suspend.job(called, { folder, name: "callback-result" });
  await suspend.job(called, { folder, name: "callback-error" }, { key: "second" }).catch(() => {});
  await ctx.runDeployment("child", { given: C["parameter of a child run"] });
  await suspend.event("landed", { key: C["event's key"], schema: z.object({ said: z.string().describe(C["event's schema"]) }) });
  const schema = z.object({ why: z.string().describe(C["question's schema"]) });
  await suspend.input({ title: C["question's title"], schema });
  return { useless, result: C["result of a run"] };
});
export const breaks = flow({ name: "breaks" }, async () => {
  throw new Error(C["error of a run"] + secret("door-typescript"));
});
const spins = task({ name: "spins" }, async (folder: string) => {
  log.info(C["line of a cancelled task"]);
  await writeFile(folder + "/spins", "");
  for (;;) await pause(20);
});
export const stops = flow({ name: "stops", input: z.object({ folder: z.string() }) }, async ({ folder }) => spins(folder));
/** Waits for the death of its worker, then for that of the control plane. */
export const survives = flow({ name: "survives", input: z.object({ folder: z.string() }) }, async ({ folder }) => {
  log.info(C["line before the worker dies"]);
  await writeFile(folder + "/worker", "");
  while (!(await isThere(folder + "/restarted"))) await pause(20);
  await writeFile(folder + "/control", "");
  while (!(await isThere(folder + "/finish"))) await pause(20);
  log.info(C["line without a control plane"]);
});
export const waits = flow({ name: "waits", input: z.object({ given: z.string() }) }, async ({ given }) => {
  await ctx.keep("half", C["kept progress"]);
  log.warn(C["log line"] + given);
  await suspend.input({ title: C["question's title"], schema: z.boolean() });
});
const mentions = task({ name: "mentions" }, async () => {
  log.warn(C["stored line of a task"]);
});
/** Its worker keeps the texts of log lines in the store. */
export const keeps = flow({ name: "keeps" }, async () => {
  log.info("a line of " + C["stored log line"]);
  await mentions();
  console.log(C["stored printed line"]);
});
`;
const CONFIG = `
import { cron, defineConfig, deployment, ociLayout } from "towpath/config";
import { C } from "./flows/canaries.ts";
import { all, breaks, child, keeps, stops, survives, waits } from "./flows/all.ts";
const secrets = ["door-typescript"];
const retry = { limit: 1, delayMs: 0, causes: ["error", "killed", "lost"] };
export default defineConfig({
  project: "canaries",
  pool: "local",
  stages: { typescript: { pools: { gpu: "local" } } },
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [
    deployment(child, { schedules: [{ name: "yearly", timing: cron("0 0 1 1 *"), parameters: { given: "" } }] }),
    deployment(stops, { killGraceMs: 1_000 }),
    deployment(survives, { retry, killGraceMs: 1_000 }),
    deployment(all, {
      secrets,
      retry,
      env: { MODE: C["variable of a deployment"] },
      mayStart: ["child"],
      schedules: [{ name: "yearly", timing: cron("0 0 1 1 *"), parameters: { folder: "", given: C["parameter of a schedule"] } }],
    }),
    deployment(breaks, { secrets, retry }),
    deployment(waits),
    deployment(keeps, { pools: ["keeps"] }),
    deployment({ name: "command", command: ["sh", "-c", "echo $DOOR; exit 3"], secrets: [{ name: "door-typescript", env: "DOOR" }] }),
  ],
});
`;

const PYTHON = `
import os, signal, time
from dataclasses import dataclass
from pathlib import Path
from flows.canaries import C
from towpath import Job, JobStatus, artifact, flow, keep, kept, log, run_child, secret, suspend, task

def once(folder: str, name: str) -> bool:
    """True once for each name and folder."""
    file = Path(folder) / name
    if file.exists():
        return False
    file.write_text("")
    return True

useless = len(C["constant in the code"])

@dataclass
class Said:
    said: str
    more: str = C["event's schema"]

@dataclass
class Why:
    why: str
    more: str = C["question's schema"]

@task
def plain(given: str) -> dict:
    return {"rows": [C["result of a task"], len(given)]}

@task(cache=True)
def cached(given: str) -> str:
    return C["result of a cached task"] + str(len(given))

@task(retries=1, retry_delay="1ms")
def fails() -> None:
    raise ValueError(C["error of a task"])

@task
def far(given: str) -> dict:
    return {"model": C["result of a remote task"], "of": len(given)}

@task(name="far-fails")
def far_fails() -> None:
    raise ValueError(C["error of a remote task"])

@task
def progress(folder: str) -> None:
    before = kept("half")
    keep("half", C["kept progress"])
    if once(folder, "crashed"):
        os.kill(os.getpid(), signal.SIGKILL)
    if before != C["kept progress"]:
        raise RuntimeError("the progress is gone")

def submit(key: str, given: dict) -> dict:
    (Path(given["folder"]) / key).write_text(given["input"])
    return {"folder": given["folder"], "fails": given["fails"], "secret": C["job's handle"]}

def poll(handle: dict) -> JobStatus:
    if not (Path(handle["folder"]) / "go").exists():
        return JobStatus("running", says=C["job's status"])
    if handle["fails"]:
        return JobStatus("failed", error=C["job's error"])
    return JobStatus("completed", {"at": C["job's result"]})

def submit_called(key: str, given: dict, callback_url: str | None) -> dict:
    (Path(given["folder"]) / given["name"]).write_text(callback_url or "")
    return {"folder": given["folder"], "secret": C["job's handle"]}

# Its backend has no key. The test sends its callback.
called = Job("called", callback=True, submit=submit_called, idempotent=True)
train = Job("train", submit=submit, poll=poll, idempotent=True, poll_every="1s")

@flow
def child(given: str) -> str:
    return C["result of a child run"]

@flow(name="all", run_name="named {given}")
def everything(folder: str, given: str, usual: str = C["default of a parameter"]) -> dict:
    log.info("a line of " + C["log line"] + ", parameter " + given + ", secret " + secret("door-python"))
    print(C["printed line"] + os.environ["MODE"], flush=True)
    artifact.markdown("note", C["artifact's body"], title=C["artifact's title"])
    artifact.table("rows", [[C["artifact's table"]]], columns=["row"])
    artifact.image("picture", b"\\x89PNG\\r\\n\\x1a\\n" + C["artifact's image"].encode())
    try:
        artifact.markdown("large", C["body of a large artifact"] + "x" * 40_000)
    except Exception:
        pass  # Without a workspace key on the worker it is refused.
    artifact.link("place", "https://example.com/", text=C["artifact's link"])
    artifact.progress("part", 1, 2, unit=C["artifact's unit"])
    plain(C["argument of a task"])
    cached(C["argument of a cached task"])
    try:
        fails()
    except Exception:
        pass
    progress(folder)
    far.with_options(pool="gpu")(C["argument of a remote task"])
    try:
        far_fails.with_options(pool="gpu")()
    except Exception:
        pass
    suspend.job(train, {"folder": folder, "input": C["job's input"], "fails": False})
    try:
        suspend.job(train, {"folder": folder, "input": C["job's input"], "fails": True}, key="second")
    except Exception:
        pass
    suspend.job(called, {"folder": folder, "name": "callback-result"})
    try:
        suspend.job(called, {"folder": folder, "name": "callback-error"}, key="second")
    except Exception:
        pass
    run_child("child", {"given": C["parameter of a child run"]})
    suspend.event("landed", Said, key=C["event's key"])
    suspend.input(C["question's title"], Why)
    return {"useless": useless, "result": C["result of a run"]}

@flow
def breaks() -> None:
    raise RuntimeError(C["error of a run"] + secret("door-python"))

@task
def spins(folder: str) -> None:
    log.info(C["line of a cancelled task"])
    (Path(folder) / "spins").write_text("")
    while True:
        time.sleep(0.02)

@flow
def stops(folder: str) -> None:
    spins(folder)

@flow
def survives(folder: str) -> None:
    """Waits for the death of its worker, then for that of the control plane."""
    log.info(C["line before the worker dies"])
    (Path(folder) / "worker").write_text("")
    while not (Path(folder) / "restarted").exists():
        time.sleep(0.02)
    (Path(folder) / "control").write_text("")
    while not (Path(folder) / "finish").exists():
        time.sleep(0.02)
    log.info(C["line without a control plane"])

@flow
def waits(given: str) -> None:
    log.warning(C["log line"] + given)
    suspend.input(C["question's title"], bool)

@task
def mentions() -> None:
    log.warning(C["stored line of a task"])

@flow
def keeps() -> None:
    """Its worker keeps the texts of log lines in the store."""
    log.info("a line of " + C["stored log line"])
    mentions()
    print(C["stored printed line"], flush=True)
`;
const PYTHON_CONFIG = `
from flows.canaries import C
from flows.all import breaks, child, everything, keeps, stops, survives, waits
from towpath.config import cron, deployment, oci_layout, project, stage

retry = {"limit": 1, "delay": 0, "causes": ["error", "killed", "lost"]}
given = {"folder": "", "given": C["parameter of a schedule"]}
config = project(
    "canaries",
    pool="local",
    stages={"python": stage(pools={"gpu": "local"})},
    registry=oci_layout(REGISTRY),
    deployments=[
        deployment(
            child,
            schedules=[{"name": "yearly", "timing": cron("0 0 1 1 *"), "parameters": {"given": ""}}],
        ),
        deployment(stops, kill_grace="1s"),
        deployment(survives, retry=retry, kill_grace="1s"),
        deployment(
            everything,
            secrets=["door-python"],
            retry=retry,
            env={"MODE": C["variable of a deployment"]},
            may_start=["child"],
            schedules=[{"name": "yearly", "timing": cron("0 0 1 1 *"), "parameters": given}],
        ),
        deployment(breaks, secrets=["door-python"], retry=retry),
        deployment(waits),
        deployment(keeps, pools=["keeps"]),
    ],
)
`;

/** Flows that have a canary in everything that a flow can receive, do and report. */
export function flowsWith(language: Language, canaries: Canaries): Readonly<Record<string, string>> {
  const values = JSON.stringify(Object.fromEntries(canaries));
  return language === "typescript"
    ? {
        "flows/all.ts": TYPESCRIPT,
        "flows/canaries.ts": `export const C = ${values};\n`,
        "towpath.config.ts": CONFIG,
      }
    : {
        "flows/all.py": PYTHON,
        "flows/canaries.py": `C = ${values}\n`,
        "towpath_config.py": PYTHON_CONFIG,
      };
}
