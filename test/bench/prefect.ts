import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { freePort } from "../harness/free-port.ts";
import { startProcess, type TestProcess } from "../harness/process.ts";
import type { Arena } from "./arena.ts";
import { PREFECT, pythonWith } from "./installed.ts";

/** The same flows as Towpath's. */
const FLOWS = `
import sys
import time
from prefect import flow, task

@flow
def first(file: str) -> None:
    with open(file, "w") as out:
        out.write(str(time.time_ns() / 1e6))

@flow
def empty() -> None:
    pass

@task
def one(n: int) -> int:
    return n

@flow
def steps(count: int) -> float:
    one(0)
    began = time.perf_counter()
    for n in range(count):
        one(n)
    return count / (time.perf_counter() - began)

@flow
def mapped(count: int) -> float:
    one.map(range(2)).wait()
    began = time.perf_counter()
    one.map(range(count)).wait()
    return count / (time.perf_counter() - began)

if __name__ == "__main__":
    rate = {"steps": steps, "mapped": mapped}[sys.argv[1]](int(sys.argv[2]))
    print(f"RATE {rate}")
`;

const POOL = "local";
const START_MS = 180_000;
const RUN_MS = 180_000;
const LOOK_MS = 100;

const Made = z.object({ id: z.string() });
const FlowRun = z.object({ id: z.string(), state_type: z.string(), end_time: z.string().nullable() });
const States = z.array(z.object({ type: z.string(), timestamp: z.string() }));

/** Prefect: its own server, warm, with its default database, and if asked a process worker with its default settings. */
export interface Prefect extends AsyncDisposable {
  /** Creates a run of a flow and waits for its end. */
  run(flow: "first" | "empty", parameters: Record<string, string>): Promise<void>;
  /** Empty flows per second, from when the worker takes the first of so many that are due until the last has ended. */
  rate(count: number): Promise<number>;
  /** Steps per second of one run, as the flow itself took the time. */
  steps(flow: "steps" | "mapped", count: number): Promise<number>;
}

async function until<Value>(what: string, ms: number, look: () => Promise<Value | null>): Promise<Value> {
  for (const end = performance.now() + ms; performance.now() < end; await pause(LOOK_MS)) {
    const found = await look();
    if (found !== null) return found;
  }
  throw new Error(`Prefect: ${what} took more than ${ms} ms.`);
}

class Api {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  async get<Shape extends z.ZodType>(path: string, shape: Shape): Promise<z.output<Shape>> {
    return await this.#ask(path, shape, {});
  }

  async post<Shape extends z.ZodType>(path: string, shape: Shape, body: object): Promise<z.output<Shape>> {
    const headers = { "content-type": "application/json" };
    return await this.#ask(path, shape, { method: "POST", body: JSON.stringify(body), headers });
  }

  async isUp(): Promise<true | null> {
    return await fetch(`${this.#url}/health`).then(
      ({ ok }) => ok || null,
      () => null,
    );
  }

  async #ask<Shape extends z.ZodType>(
    path: string,
    shape: Shape,
    init: RequestInit,
  ): Promise<z.output<Shape>> {
    // Its server says 503 while its database is busy, and resets idle connections. Prefect's own client asks again, too.
    const { answer, text } = await until(path, RUN_MS, async () => {
      const answer = await fetch(`${this.#url}${path}`, init).catch(() => null);
      return answer === null || answer.status === 503 ? null : { answer, text: await answer.text() };
    });
    if (!answer.ok) throw new Error(`Prefect answers ${path} with ${answer.status}: ${text}`);
    return shape.parse(JSON.parse(text));
  }
}

async function deploy(api: Api, flow: string, folder: string): Promise<string> {
  const { id } = await api.post("/flows/", Made, { name: flow });
  const pull = { "prefect.deployments.steps.set_working_directory": { directory: folder } };
  const body = { name: flow, flow_id: id, work_pool_name: POOL, entrypoint: `flows.py:${flow}` };
  const made = await api.post("/deployments/", Made, { ...body, path: folder, pull_steps: [pull] });
  return made.id;
}

async function untilEnded(api: Api, id: string): Promise<z.output<typeof FlowRun>> {
  const run = await until("a flow run", RUN_MS, async () => {
    const found = await api.get(`/flow_runs/${id}`, FlowRun);
    return found.end_time === null ? null : found;
  });
  if (run.state_type !== "COMPLETED") throw new Error(`A flow run of Prefect is ${run.state_type}.`);
  return run;
}

/** When the worker took a run, milliseconds. */
async function takenMs(api: Api, id: string): Promise<number> {
  const states = await api.get(`/flow_run_states/?flow_run_id=${id}`, States);
  const pending = states.find(({ type }) => type === "PENDING");
  return Date.parse(pending?.timestamp ?? "");
}

/** Starts a server, and a worker if `worker` is set. Null, with a message, if Prefect cannot be installed. */
export async function openPrefect(arena: Arena, { worker }: { worker: boolean }): Promise<Prefect | null> {
  const python = await pythonWith(PREFECT);
  if (python === null) return null;
  const home = join(arena.stack.folder, `prefect-${performance.now()}`);
  await mkdir(home);
  await writeFile(join(home, "flows.py"), FLOWS);
  const port = String(await freePort());
  const url = `http://127.0.0.1:${port}/api`;
  const env = {
    PATH: process.env.PATH,
    HOME: home,
    PREFECT_HOME: home,
    PREFECT_API_URL: url,
    PREFECT_SERVER_ANALYTICS_ENABLED: "false",
    DO_NOT_TRACK: "1",
  };
  const running: TestProcess[] = [];
  const start = (...words: string[]) => {
    const one = startProcess({ command: python, args: words, cwd: home, env });
    running.push(one);
    return one;
  };
  const end = async () => {
    for (const one of running.reverse()) await one[Symbol.asyncDispose]();
  };
  const api = new Api(url);
  try {
    start("-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", port, "--no-ui");
    await until("the start of its server", START_MS, () => api.isUp());
    await api.post("/work_pools/", Made, { name: POOL, type: "process" });
    const ids = { first: await deploy(api, "first", home), empty: await deploy(api, "empty", home) };
    if (worker)
      await start("-m", "prefect", "worker", "start", "--pool", POOL).waitFor(
        /Worker '.*' started/,
        START_MS,
      );
    const create = async (flow: keyof typeof ids, parameters: Record<string, string>) =>
      (
        await api.post(`/deployments/${ids[flow]}/create_flow_run`, Made, {
          parameters,
          state: { type: "SCHEDULED" },
        })
      ).id;
    return {
      async run(flow, parameters) {
        await untilEnded(api, await create(flow, parameters));
      },
      async rate(count) {
        const created = await Promise.all(Array.from({ length: count }, () => create("empty", {})));
        const ends: number[] = [];
        for (const id of created) ends.push(Date.parse((await untilEnded(api, id)).end_time ?? ""));
        const taken = await Promise.all(created.map((id) => takenMs(api, id)));
        return (count * 1000) / (Math.max(...ends) - Math.min(...taken));
      },
      async steps(flow, count) {
        const one = start("flows.py", flow, String(count));
        await one.exited;
        const [, rate] = /^RATE (.*)$/m.exec(one.output()) ?? [];
        if (rate === undefined) throw new Error(`Prefect's flow failed:\n${one.output()}`);
        return Number(rate);
      },
      [Symbol.asyncDispose]: end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}
