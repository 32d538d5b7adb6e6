import { type JobChange, Ref, TendJobs } from "@towpath/contract";
import { z } from "zod";
import type { Attack } from "../attack.ts";
import { startElsewhere } from "../elsewhere.ts";
import { type EngineRun, inEachLanguage, notesOf } from "../engine-flows.ts";
import { VERBS } from "../liar.ts";
import { ZEROS } from "../lying-refs.ts";
import type { Offer } from "../offer.ts";
import type { Stage } from "../stage.ts";
import { broken, held, type Verdict } from "../verdict.ts";
import type { Wire } from "../wire.ts";
import { type Handled, JobBook } from "./job-book.ts";

const Ended = z.looseObject({
  type: z.literal("task"),
  path: z.string(),
  at: z.string(),
  codeVersion: z.string().optional(),
  inputHash: z.string().optional(),
  result: Ref,
});

interface Item extends Wire {
  readonly path: string;
  readonly result: Ref;
}

/** What an honest control plane lists after this attempt. */
function checkpointsOf(offer: Offer): Item[] {
  return offer.control.flatMap((record) => {
    const { data } = Ended.safeParse(record);
    if (data === undefined) return [];
    const { path, at, codeVersion = null, inputHash = null, result } = data;
    return [{ path, kind: "task", own: true, at, codeVersion, inputHash, result }];
  });
}

const TASKS = 4;
const LOADS = ["load 0", "load 1"];
const GOT = "got value 0, value 1, shared 0, shared 1";

/** The ref at another place of the list. */
const at = (items: readonly Item[], index: number): Ref => {
  const item = items[index];
  if (item === undefined) throw new RangeError("The flow has reported too few results.");
  return item.result;
};

/** The ref with its content hash, and without a MAC. */
const unsigned = (ref: Ref): Ref => ({ ...ref, sha256: ref.sha256.slice(0, -ZEROS.length) + ZEROS });

/** Every way to move the results of a flow. @param other The results of another run with the same calls. */
function movedResults(own: readonly Item[], other: readonly Item[], url: string): Item[][] {
  const each = (refOf: (item: Item, index: number) => Ref) =>
    own.map((item, index) => ({ ...item, result: refOf(item, index) }));
  return [
    // Of the same task with another input: a stored result of another call, a cached one of another call.
    each((_, index) => at(own, [1, 0, 3, 2][index] ?? 0)),
    // Of another task: cached values to tasks without a cache, and back.
    each((_, index) => at(own, (index + 2) % TASKS)),
    each((_, index) => at(other, index)),
    each((item, index) => ({ ...item.result, uri: at(own, (index + 1) % TASKS).uri })),
    each((_, index) => unsigned(at(own, 2 + ((index + 1) % 2)))),
    each(({ result }) => unsigned(result)),
    each((item) => ({ ...item.result, uri: `${url}/value` })),
  ];
}

const RESULTS: Attack = {
  name: "moved-results",
  group: "engines",
  tries: "Moves stored and cached results of real flows to other tasks, inputs and runs, or changes them",
  fields: ["listCheckpoints.items[].result.*"],
  isAlone: true,
  play: (stage) =>
    inEachLanguage(stage, {
      attack: RESULTS.name,
      flow: "chain",
      play: (begin) => moveResults(stage, begin).finally(() => stage.liar.habits.delete("listCheckpoints")),
    }),
};

async function moveResults(stage: Stage, begin: () => EngineRun): Promise<Verdict> {
  await using elsewhere = await startElsewhere();
  const list = (items: readonly Item[]) =>
    stage.liar.habits.set("listCheckpoints", { body: (honest) => ({ ...honest, items, next: null }) });
  const filled = await begin().attempt();
  // Its cached tasks take their results from the cache.
  const run = begin();
  const first = await run.attempt();
  const own = checkpointsOf(first);
  if (own.length !== TASKS || notesOf(first).join() !== [...LOADS, GOT].join())
    return broken(`an honest run with a cache went wrong: ${notesOf(first).join(", ")} ${first.why}`);
  const forms = movedResults(own, checkpointsOf(filled), elsewhere.url);
  for (const [index, form] of forms.entries()) {
    list(form);
    const offer = await run.attempt();
    const notes = notesOf(offer);
    if (offer.outcome !== "completed" || notes.join() !== [...LOADS, GOT].join())
      return broken(`lie ${index + 1} reached the flow: ${notes.join(", ")} ${offer.why}`);
  }
  list(own);
  const last = notesOf(await run.attempt());
  if (last.join() !== GOT) return broken(`honest results were not reused: ${last.join(", ")}`);
  const [stray] = elsewhere.heard;
  if (stray !== undefined) return broken(`somebody loaded a chosen address: ${stray}`);
  return held(`each of ${forms.length} lists was refused, and the honest one after them was not`);
}

const done = (result: Ref | null, more: Wire = {}) => ({ outcome: "completed", result, ...more });

const JOBS: Attack = {
  name: "moved-job-results",
  group: "engines",
  tries:
    "Moves handles and results between the external jobs of real flows, and invents a callback of a job that has none",
  fields: ["tendJobs.jobs[].handle.*", "call.answer.*", "call.job.*"],
  isAlone: true,
  play: (stage) =>
    inEachLanguage(stage, {
      attack: JOBS.name,
      flow: "jobs",
      play: (begin) => moveJobs(stage, begin()),
    }),
};

/** Lets the worker poll a job once. @returns what it reports */
async function polled(
  stage: Stage,
  args: { run: EngineRun; jobId: string; handle: Ref; name?: string },
): Promise<JobChange> {
  const { liar } = stage;
  const { run, jobId, handle, name = "probe" } = args;
  const named = { deployment: run.deployment, version: 1 };
  const job = { jobId, lease: liar.id(), runId: run.runId, ...named, job: name, handle };
  const changes: JobChange[] = [];
  const stop = liar.hear((verb, body) => {
    const told = verb === "tendJobs" ? TendJobs.parse(body).news : [];
    changes.push(...told.filter((one) => one.lease === job.lease));
  });
  const tended = {
    jobs: [{ ...job, pollEveryMs: 1_000, cancel: false }],
    specs: [{ ...named, spec: run.spec }],
  };
  await stage.whileAlive(liar.lie("tendJobs", { body: (honest) => ({ ...honest, ...tended }) }));
  await stage.whileAlive(liar.until("the worker reports the job", () => changes.length > 0));
  stop();
  await stage.whileAlive(liar.lie("tendJobs", { body: (honest) => ({ ...honest, gone: [jobId] }) }));
  const [change] = changes;
  if (change === undefined) throw new RangeError("The worker has reported nothing.");
  return change;
}

/** Polls a job with its own handle. @returns its signed result; null: the worker reported no end */
async function resultOf(stage: Stage, args: { run: EngineRun; job: Handled }): Promise<Ref | null> {
  const change = await polled(stage, { run: args.run, ...args.job });
  return change.type === "ended" && change.outcome.outcome === "completed" ? change.outcome.result : null;
}

async function moveJobs(stage: Stage, run: EngineRun): Promise<Verdict> {
  await using elsewhere = await startElsewhere();
  using book = new JobBook(stage.liar);
  await run.attempt();
  const one = book.job(0);
  const result = await resultOf(stage, { run, job: one });
  if (result === null) return broken("an honest job was not polled to its end");
  book.end(one, done(result));
  await run.attempt();
  const two = book.job(1);
  // `chosen-handles` tries every other change, without an engine.
  const foreign = [
    { handle: one.handle },
    { handle: { ...two.handle, uri: one.handle.uri } },
    { handle: two.handle, name: "other" },
  ];
  for (const form of foreign) {
    const change = await polled(stage, { run, jobId: two.jobId, ...form });
    if (change.type !== "stumbled" || !change.detail.includes("refused the job's handle"))
      return broken(`a job was polled with another handle: ${JSON.stringify(change)}`);
  }
  const second = await resultOf(stage, { run, job: two });
  if (second === null) return broken("an honest job was not polled with its own handle");
  const forms = [
    done(result),
    done(two.handle),
    done({ ...second, uri: result.uri }),
    done({ ...second, uri: `${elsewhere.url}/value` }),
    done(unsigned(second)),
    done(null, { value: "result of liar" }),
  ];
  for (const [index, form] of forms.entries()) {
    book.end(two, form);
    const offer = await run.attempt();
    if (offer.outcome !== "failed" || notesOf(offer).length > 0)
      return broken(`lie ${index + 1} reached the flow: ${notesOf(offer).join(", ")} ${offer.outcome}`);
  }
  book.end(two, done(second));
  const last = await run.attempt();
  if (notesOf(last).join() !== "got result of one, result of two")
    return broken(`honest results did not reach the flow: ${notesOf(last).join(", ")} ${last.why}`);
  const [stray] = elsewhere.heard;
  if (stray !== undefined) return broken(`somebody loaded a chosen address: ${stray}`);
  return held(
    `${foreign.length} handles and ${forms.length} results were refused, and the honest ones were not`,
  );
}

/** Fields by which a program could be led to another host. None of them is on the wire. */
const addresses = (url: string): Wire => ({
  ...{ url, uri: url, href: url, baseUrl: url, location: url, redirect: url, endpoint: url, proxy: url },
  ...{ controlPlane: url, callbackUrl: url, callback: url, tokenUrl: url, storeUrl: url, publicUrl: url },
  registry: { kind: "archive", url },
  registries: { "towpath-attack": { kind: "archive", url } },
  store: { root: url, endpoint: url },
});

/** The same with these fields in every object. Parameters and answers have schemas of their own. */
function poisoned(value: unknown, more: Wire): unknown {
  if (Array.isArray(value)) return value.map((one) => poisoned(one, more));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([name, one]) => [
    name,
    name === "parameters" || name === "answer" ? one : poisoned(one, more),
  ]);
  return { ...more, ...Object.fromEntries(entries) };
}

/** Headers by which an HTTP client could be led to another host. */
const headersTo = (url: string) => ({
  ...{ location: `${url}/l`, "content-location": `${url}/c`, refresh: `0; url=${url}/r` },
  ...{
    link: `<${url}/p>; rel=preload`,
    "alt-svc": `h2="${new URL(url).host}"`,
    "x-accel-redirect": `${url}/x`,
  },
});

const ADDRESSES: Attack = {
  name: "chosen-addresses",
  group: "engines",
  tries:
    "Names another host in every object and header of its answers: for calls, callbacks, registries and stores",
  fields: VERBS.map((verb) => `${verb}.*`),
  isAlone: true,
  play: (stage) =>
    inEachLanguage(stage, {
      attack: ADDRESSES.name,
      flow: "called",
      play: (begin) =>
        nameAddresses(stage, begin()).finally(() => {
          for (const verb of VERBS) stage.liar.habits.delete(verb);
        }),
    }),
};

async function nameAddresses(stage: Stage, run: EngineRun): Promise<Verdict> {
  const { liar } = stage;
  await using elsewhere = await startElsewhere();
  using book = new JobBook(liar);
  const more = addresses(elsewhere.url);
  for (const verb of VERBS)
    liar.habits.set(verb, {
      body: async (honest, asked) =>
        poisoned(verb === "call" ? book.answer(honest, asked) : honest, more) as Wire,
      headers: headersTo(elsewhere.url),
    });
  liar.expireSessions();
  const first = await run.attempt();
  const { jobId } = book.job(0);
  const url = `url ${liar.url}/api/callbacks/${liar.workspaceId}/${jobId}/`;
  const [note = ""] = notesOf(first);
  if (!note.startsWith(url)) return broken(`a backend would call another address: ${note} ${first.why}`);
  book.end(book.job(0), done(null, { value: "called" }));
  const last = await run.attempt();
  if (notesOf(last).join() !== "got called") return broken(`an honest run went wrong: ${last.why}`);
  const [stray] = [...elsewhere.heard, ...liar.strays];
  if (stray !== undefined) return broken(`a chosen address heard ${stray}`);
  return held("the other host heard nothing, and the callback's address is that of the configuration");
}

/** Attacks on flows that run in the real engines, of both languages. */
export const ENGINE_ATTACKS: readonly Attack[] = [RESULTS, JOBS, ADDRESSES];
