import type { Attack } from "../attack.ts";
import type { Liar, Verb } from "../liar.ts";
import type { Stage } from "../stage.ts";
import { broken, held } from "../verdict.ts";
import type { Wire } from "../wire.ts";
import { besideRun } from "./beside.ts";

/** Full answers of each loop, from which one field at a time is spoiled. */
function sample(liar: Pick<Liar, "id" | "refusable">, verb: Verb, honest: Wire): Wire {
  const attemptId = liar.id();
  const cancel = { kind: "cancel", attemptId, reason: "liar" };
  const answers = { kind: "answers", attemptId, paths: ["a"] };
  if (verb === "claim") return { ...honest, assignments: [], commands: [cancel, answers] };
  if (verb === "renew") {
    const gone = { attemptId, status: "gone", reason: "liar" };
    const renewed = { attemptId, status: "renewed", leaseMs: 1_000 };
    return { ...honest, leases: [gone, renewed], commands: [cancel, answers] };
  }
  if (verb === "report") {
    const rejected = [{ lane: "bulk", seq: 1, code: "x", detail: "x" }];
    const outcome = { state: "failed", cause: "error" };
    const attempt = { attemptId, status: "accepted", controlAcked: 0, bulkAcked: 0, rejected, outcome };
    const next = { assignments: [liar.refusable()], commands: [cancel], superseded: false };
    return { ...honest, attempts: [attempt], commands: [cancel, answers], next };
  }
  const ids = { jobId: liar.id(), lease: liar.id() };
  const handle = { uri: "file:///x", codec: "json", sizeBytes: 2, sha256: "a".repeat(64) };
  const named = { deployment: "jobs", version: 1 };
  const job = { ...ids, runId: liar.id(), ...named, job: "train", handle, pollEveryMs: 1_000, cancel: false };
  const specs = [{ ...named, spec: "e30.e30.e30" }];
  return { ...honest, jobs: [job], specs, cancel: [liar.id()], gone: [liar.id()], wanted: true };
}

/** A path into JSON: names and indexes. */
type Path = readonly (string | number)[];

/** The paths of every field of a value, the deeper ones later. */
function pathsOf(value: unknown, path: Path = []): Path[] {
  if (typeof value !== "object" || value === null) return [];
  const entries: [string | number, unknown][] = Array.isArray(value)
    ? value.map((one, index) => [index, one])
    : Object.entries(value);
  return entries.flatMap(([name, one]) => [[...path, name], ...pathsOf(one, [...path, name])]);
}

/** A copy in which one field is another value. */
function spoiled(value: unknown, path: Path, by: unknown): unknown {
  const [name, ...rest] = path;
  if (name === undefined) return by;
  if (Array.isArray(value)) return value.map((one, index) => (index === name ? spoiled(one, rest, by) : one));
  const fields: Wire = Object(value);
  return { ...fields, [name]: spoiled(fields[name], rest, by) };
}

/** A value of another type than this one. */
function otherThan(value: unknown): unknown {
  if (typeof value === "object" && value !== null) return "__proto__";
  return { __liar: [value] };
}

const VERBS = ["claim", "renew", "report", "tendJobs"] as const satisfies Verb[];

async function spoil(stage: Stage, verb: Verb): Promise<number> {
  const { liar } = stage;
  const paths = pathsOf(sample(liar, verb, { incarnation: liar.incarnation, position: liar.position }));
  for (const path of paths) {
    await stage.whileAlive(
      liar.lie(verb, {
        body: (honest) => {
          const whole = sample(liar, verb, honest);
          const before = path.reduce<unknown>((one, name) => Object(one)[name], whole);
          return Object(spoiled(whole, path, otherThan(before)));
        },
      }),
    );
    await stage.asksAgain(verb);
  }
  return paths.length;
}

/** The names of the fields that are spoiled. */
function spoiledFields(verb: Verb): string[] {
  const example = sample({ id: () => "", refusable: () => ({}) }, verb, { incarnation: "", position: 0 });
  return pathsOf(example).map((path) =>
    path.reduce<string>((text, name) => (typeof name === "number" ? `${text}[]` : `${text}.${name}`), verb),
  );
}

const TYPES: Attack = {
  name: "wrong-types",
  group: "shapes",
  tries: "Answers polls, renewals, reports and questions about jobs with one field at a time of another type",
  fields: VERBS.flatMap(spoiledFields),
  isAlone: true,
  play: (stage) =>
    besideRun(stage, TYPES.name, async () => {
      const counts = await Promise.all(VERBS.map((verb) => spoil(stage, verb)));
      const all = counts.reduce((sum, count) => sum + count, 0);
      return held(`the worker discarded ${all} answers, and its run went on`);
    }),
};

/** Counts how often marked code ran. */
async function runs(stage: Stage, marker: string): Promise<number> {
  return (await stage.seen(marker)).length;
}

const REPEATED: Attack = {
  name: "repeated-assignment",
  group: "shapes",
  tries: "Sends one assignment five times in one answer, and again while it runs and after it has ended",
  fields: ["claim.assignments[].attemptId", "claim.assignments[].epoch", "claim.assignments[].nonce"],
  isAlone: true,
  async play(stage) {
    const { name } = REPEATED;
    const spec = stage.sign(stage.spec(name));
    const offer = stage.liar.hold(stage.assignment(spec, { deployment: name }));
    offer.isOurs = true;
    const again = async (times: number) => {
      const assignments = Array<Wire>(times).fill(offer.assignment);
      await stage.whileAlive(stage.liar.lie("claim", { body: (honest) => ({ ...honest, assignments }) }));
      await stage.asksAgain("claim");
    };
    await again(5);
    await again(1);
    await stage.whileAlive(stage.liar.until("the run has ended", () => offer.isOver));
    await again(2);
    await stage.asksAgain("claim");
    const count = await runs(stage, name);
    return count === 1 ? held("the code ran once") : broken(`the code ran ${count} times`);
  },
};

const OTHER_NONCE: Attack = {
  name: "other-nonce",
  group: "shapes",
  tries: "Assigns an attempt that runs once more, with another nonce and with another epoch",
  fields: ["claim.assignments[].epoch", "claim.assignments[].nonce"],
  isAlone: true,
  async play(stage) {
    const { name } = OTHER_NONCE;
    const run = await stage.busy(name);
    const other = { ...run.assignment, nonce: "another-nonce-of-the-liar" };
    for (const assignment of [other, { ...other, epoch: 2 }]) {
      await stage.whileAlive(
        stage.liar.lie("claim", { body: (honest) => ({ ...honest, assignments: [assignment] }) }),
      );
      await stage.asksAgain("claim");
    }
    const during = await runs(stage, name);
    await stage.letGo(name);
    return during === 1
      ? held("no second process was started beside the first")
      : broken(`${during} processes of one attempt ran at the same time`);
  },
};

const MORE: Attack = {
  name: "more-than-free",
  group: "shapes",
  tries: "Assigns ten more runs than the worker has slots",
  fields: ["claim.assignments[]"],
  isAlone: true,
  async play(stage) {
    const { name } = MORE;
    const capacity = Number(stage.liar.introduced.capacity);
    const all = Array.from({ length: capacity + 10 }, (_, index) => stage.held(`${name}-${index}`, name));
    await stage.whileAlive(
      stage.liar.lie("claim", {
        body: (honest) => ({ ...honest, assignments: all.map(({ assignment }) => assignment) }),
      }),
    );
    // A poll that crossed the answer may have discarded it.
    for (const offer of all) offer.isOurs = true;
    const settled = () => all.every(({ outcome, isStarted }) => isStarted || outcome === "released");
    await stage.whileAlive(stage.liar.until("each attempt was started or given back", settled));
    const started = all.filter(({ isStarted }) => isStarted).length;
    await stage.letGo(name);
    await stage.whileAlive(stage.liar.until("all have ended", () => all.every(({ isOver }) => isOver)));
    if (started > capacity) return broken(`${started} ran at once; the capacity is ${capacity}`);
    return held(`${started} ran at once, and ${all.length - started} were given back`);
  },
};

const JOBS: Attack = {
  name: "chosen-jobs",
  group: "shapes",
  tries: "Gives the worker jobs to poll with altered specs, of other deployments, and of commands",
  fields: ["tendJobs.jobs[].*", "tendJobs.specs[].*"],
  isAlone: true,
  async play(stage) {
    const { liar } = stage;
    const marker = JOBS.name;
    const honest = stage.spec(marker);
    const specs = [
      stage.sign(honest).replace(/.$/, "A"),
      stage.sign(honest),
      stage.sign({ ...honest, workspaceId: liar.id() }),
      stage.sign({ ...honest, deployment: "payroll" }),
    ];
    let asked = "";
    const stop = liar.hear((verb, body) => {
      if (verb === "tendJobs") asked += JSON.stringify(body.news);
    });
    for (const spec of specs) {
      const named = { deployment: marker, version: 1 };
      const handle = { uri: "file:///etc/passwd", codec: "json", sizeBytes: 2, sha256: "a".repeat(64) };
      const job = {
        ...{ jobId: liar.id(), lease: liar.id(), runId: liar.id() },
        ...{ ...named, job: "train", handle, pollEveryMs: 0, cancel: true },
      };
      const before = asked.length;
      await stage.whileAlive(
        liar.lie("tendJobs", {
          body: (honestly) => ({ ...honestly, jobs: [job], specs: [{ ...named, spec }] }),
        }),
      );
      await stage.whileAlive(liar.until("the worker reports the job", () => asked.length > before + 10));
      await stage.whileAlive(
        liar.lie("tendJobs", { body: (honestly) => ({ ...honestly, gone: [job.jobId] }) }),
      );
    }
    stop();
    if (await stage.ran(marker)) return broken("the code ran");
    return asked.includes('"cancelled"')
      ? broken("a job counts as cancelled")
      : held("each was reported as a fault");
  },
};

/** Attacks by the shape and the number of what the worker gets. */
export const SHAPE_ATTACKS: readonly Attack[] = [TYPES, REPEATED, OTHER_NONCE, MORE, JOBS];
