import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Entry } from "@towpath/contract";
import { z } from "zod";
import { bundleModules } from "../deployments/bundle.ts";
import type { CodeTree } from "../deployments/code-tree.ts";
import { Failure } from "../failure.ts";
import type { Offer } from "./offer.ts";
import type { Stage } from "./stage.ts";
import { held, type Verdict } from "./verdict.ts";

/** Flows as an author writes them. They print what they do, in lines that begin with "note". */
const TYPESCRIPT = `
import { flow, job, suspend, task } from "towpath";
import { z } from "zod";
const note = (text: string) => console.log("note " + text);

const load = task({ name: "load" }, async (n: number) => {
  note("load " + n);
  return "value " + n;
});
const cached = task({ name: "cached", cache: true }, async (n: number) => {
  note("cached " + n);
  return "shared " + n;
});
export const chain = flow({ name: "chain" }, async () => {
  const got: string[] = [];
  for (const n of [0, 1]) got.push(await load(n));
  for (const n of [0, 1]) got.push(await cached(n));
  note("got " + got.join(", "));
});

const probe = job({
  name: "probe",
  pollEvery: "1s",
  submit: async (_key, input: { name: string }) => {
    note("submit " + input.name);
    return { name: input.name };
  },
  poll: async ({ name }: { name: string }) => ({ state: "completed", result: "result of " + name }) as const,
});
// The other kind of job, which must not be asked about a handle of the first.
job({ name: "other", submit: async () => "handle", poll: async () => ({ state: "completed", result: "of the other" }) });
export const jobs = flow({ name: "jobs" }, async () => {
  const one = await suspend.job(probe, { name: "one" });
  const two = await suspend.job(probe, { name: "two" });
  note("got " + one + ", " + two);
});

const notified = job({
  name: "notified",
  callback: true,
  submit: async (_key, _input: string, { callbackUrl }) => {
    note("url " + callbackUrl);
    return "handle";
  },
});
export const called = flow({ name: "called" }, async () => {
  note("got " + (await suspend.job(notified, "input")));
});

// It takes every answer, so that only its worker can refuse one.
export const asks = flow({ name: "asks" }, async () => {
  note("got " + JSON.stringify(await suspend.input({ title: "Publish?", schema: z.unknown() })));
});
`;
const PYTHON = `
import json
from typing import Any

from towpath import Cache, Job, JobStatus, flow, suspend, task


def note(text: str) -> None:
    print("note " + text, flush=True)


@task
def load(n: int) -> str:
    note(f"load {n}")
    return f"value {n}"


@task(name="cached-in-python", cache=Cache())
def cached(n: int) -> str:
    note(f"cached {n}")
    return f"shared {n}"


@flow
def chain() -> None:
    got = [load(n) for n in range(2)] + [cached(n) for n in range(2)]
    note("got " + ", ".join(got))


def submit(key: str, input: dict) -> dict:
    note("submit " + input["name"])
    return input


def poll(handle: dict) -> JobStatus:
    return JobStatus("completed", "result of " + handle["name"])


probe = Job("probe", submit=submit, poll=poll, poll_every=1)


# The other kind of job, which must not be asked about a handle of the first.
other = Job("other", submit=submit, poll=lambda handle: JobStatus("completed", "of the other"))


@flow
def jobs() -> None:
    one = suspend.job(probe, {"name": "one"})
    two = suspend.job(probe, {"name": "two"})
    note(f"got {one}, {two}")


def submit_notified(key: str, input: str, callback_url: str) -> str:
    note("url " + callback_url)
    return "handle"


notified = Job("notified", submit=submit_notified, callback=True)


@flow
def called() -> None:
    note(f"got {suspend.job(notified, 'input')}")


# It takes every answer, so that only its worker can refuse one.
@flow
def asks() -> None:
    note("got " + json.dumps(suspend.input("Publish?", Any)))
`;
const SOURCES = { typescript: "engine_flows.ts", python: "engine_flows.py" } as const;
const BUNDLE = "engine_flows.js";

/** The flows of both languages as code: TypeScript bundled with the SDK, as a deploy does. */
export async function engineCode(): Promise<CodeTree> {
  const root = await mkdtemp(join(tmpdir(), "towpath-attack-flows-"));
  try {
    await writeFile(join(root, SOURCES.typescript), TYPESCRIPT);
    const { files } = await bundleModules(root, [SOURCES.typescript]);
    const python = { path: SOURCES.python, bytes: new TextEncoder().encode(PYTHON), executable: false };
    return [...files, python];
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

/** A flow of the test code. */
export type EngineFlowName = "chain" | "jobs" | "called" | "asks";
type Language = keyof typeof SOURCES;

/** One run of a flow, whose attempts the attack gives to the worker one after another. */
export class EngineRun {
  readonly stage: Stage;
  readonly runId: string;
  readonly deployment: string;
  readonly spec: string;
  #ordinal = 0;

  constructor(stage: Stage, args: { attack: string; flow: EngineFlowName; language: Language }) {
    const { attack, flow, language } = args;
    this.stage = stage;
    this.runId = stage.liar.id();
    this.deployment = `${attack}-${language}`;
    const entry: Entry =
      language === "python"
        ? { kind: "python", module: SOURCES.python, function: flow }
        : { kind: "flow", module: BUNDLE, export: flow };
    this.spec = stage.sign(stage.spec(this.deployment, { entry }));
  }

  /** Gives the next attempt to the worker. Resolves when it has ended. */
  async attempt(): Promise<Offer> {
    const { stage, deployment, runId } = this;
    this.#ordinal += 1;
    const numbered = { deployment, runId, ordinal: this.#ordinal };
    const offer = stage.liar.offer(stage.assignment(this.spec, numbered));
    await stage.whileAlive(
      stage.liar.until(`attempt ${this.#ordinal} of "${deployment}" has ended`, () => offer.isOver),
    );
    return offer;
  }
}

const NOTE = "note ";

/** What the flow printed in an attempt. */
export function notesOf({ lines }: Pick<Offer, "lines">): string[] {
  return lines.filter((line) => line.startsWith(NOTE)).map((line) => line.slice(NOTE.length));
}

const OLDEST_PYTHON = "import sys; sys.exit(sys.version_info < (3, 10))";
const Python = z.object({ python: z.object({ interpreters: z.object({ default: z.string() }) }) });

/** Whether the worker's default interpreter can run flows. */
function hasPython({ settings, deps }: Stage): boolean {
  const given = Python.safeParse(settings).data?.python.interpreters.default;
  const program = given ?? deps.environment.TOWPATH_PYTHON ?? "python3";
  const { status } = spawnSync(program, ["-c", OLDEST_PYTHON], { env: { ...deps.environment } });
  return status === 0;
}

/** Plays with a flow in TypeScript, and with one in Python if this machine has it. The verdict says which. */
export async function inEachLanguage(
  stage: Stage,
  args: { attack: string; flow: EngineFlowName; play: (begin: () => EngineRun) => Promise<Verdict> },
): Promise<Verdict> {
  const { attack, flow, play } = args;
  const inOne = async (language: Language) => {
    const verdict = await play(() => new EngineRun(stage, { attack, flow, language })).catch(
      (thrown: unknown) => {
        if (!(thrown instanceof Failure)) throw thrown;
        return { held: false, why: thrown.message };
      },
    );
    return { ...verdict, why: `${language === "python" ? "Python" : "TypeScript"}: ${verdict.why}` };
  };
  const first = await inOne("typescript");
  if (!first.held) return first;
  if (!hasPython(stage))
    return held(`${first.why}. No flow in Python was tried: there is no Python 3.10 here`);
  const second = await inOne("python");
  return second.held ? held(`${first.why}. The same in Python`) : second;
}
