import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type BatchCluster, type Stack, startBatchCluster, startStack } from "../harness/index.ts";
import { addEnvironment, hasPython } from "./interpreters.ts";

/** Submits a job to a cluster. */
const FLOW = `
import json, urllib.request
from towpath import Job, JobStatus, flow, suspend

def ask(address: str, method: str = "GET", body: object = None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(address, data, method=method), timeout=20) as answer:
        text = answer.read()
    return json.loads(text) if text else None

CLUSTER = "__CLUSTER__"

def submit(key: str, rows: int) -> str:
    job = ask(CLUSTER + "/jobs", "POST", {"key": key, "callbackUrl": None})
    return str(job["id"])

def find(key: str):
    found = ask(CLUSTER + "/jobs?key=" + key)
    return None if found is None else str(found["id"])

async def poll(id: str) -> JobStatus:
    status = ask(CLUSTER + "/jobs/" + id)["status"]
    if status == "SUCCEEDED":
        return JobStatus("completed", {"id": id})
    return JobStatus("running", says=status) if status == "RUNNING" else JobStatus("failed", error=status)

train = Job("train", submit=submit, find=find, poll=poll, cancel=lambda id: ask(CLUSTER + "/jobs/" + id, "DELETE"),
            poll_every="1s")

@flow
def trains(rows: int) -> dict:
    return suspend.job(train, rows)
`;

const CONFIG = `
from towpath.config import deployment, oci_layout, project
from trains import trains

config = project(
    "trains",
    pool="local",
    registry=oci_layout(REGISTRY),
    files=["trains.py"],
    deployments=[deployment(trains, retry={"limit": 1, "delay": 0, "causes": ["killed", "error"]})],
)
`;

const WITHIN = { timeout: 60_000 };

describe.skipIf(!hasPython)("a flow in Python that waits for an external job", { timeout: 180_000 }, () => {
  let stack: Stack;
  let cluster: BatchCluster;

  beforeAll(async () => {
    [stack, cluster] = await Promise.all([startStack(), startBatchCluster()]);
    const home = await stack.project({
      "trains.py": FLOW.replace("__CLUSTER__", cluster.url),
      "towpath_config.py": CONFIG.replace("REGISTRY", JSON.stringify(join(stack.folder, "registry"))),
    });
    await addEnvironment(home);
    const deployed = await stack.towpath(["deploy", "--project", home]);
    expect(deployed.code, deployed.output).toBe(0);
    await stack.startWorker();
  });
  afterAll(async () => {
    await stack?.[Symbol.asyncDispose]();
    await cluster?.[Symbol.asyncDispose]();
  });

  test("fails with what the job says", async () => {
    const before = cluster.jobs.length;
    const runId = await stack.run("trains", { rows: 3 });
    await expect.poll(() => cluster.jobs[before]?.polls ?? 0, WITHIN).toBeGreaterThan(0);
    cluster.finish("FAILED");
    // A retry of the run submits another job.
    await expect.poll(() => cluster.jobs[before + 1]?.polls ?? 0, WITHIN).toBeGreaterThan(0);
    cluster.finish("FAILED");
    const run = await stack.waitForRun(runId);
    expect(run).toMatchObject({ state: "failed", error: { name: "JobFailed" } });
    expect(run.error?.message).toBe('Job "train" has failed: FAILED');
  });
});
