import { randomBytes } from "node:crypto";
import { Ref } from "@towpath/contract";
import { z } from "zod";
import type { Attack } from "../attack.ts";
import { answersIn, type Spoken, speakerCommand } from "../canary.ts";
import { startElsewhere } from "../elsewhere.ts";
import type { Offer } from "../offer.ts";
import type { Stage } from "../stage.ts";
import { broken, held, type Verdict } from "../verdict.ts";
import type { Wire } from "../wire.ts";

const HALF = 32;
const ZEROS = "0".repeat(HALF);
const AT = "2026-01-01T00:00:00.000Z";

/** A ref as an engine writes it, before its worker signs it. */
function newRef(stage: Stage): Ref {
  const uri = `file://${stage.ground.folder}/store/values/${stage.liar.id()}`;
  return { uri, codec: "json", sizeBytes: 2, sha256: randomBytes(HALF / 2).toString("hex") + ZEROS };
}

/**
 * Every way to change a signed ref. Each keeps its MAC, apart from those that have none.
 * @param url An address that hears it when somebody loads the ref.
 */
function changed(honest: Ref, url: string): Ref[] {
  const { uri, sizeBytes, sha256 } = honest;
  const [content, mac] = [sha256.slice(0, HALF), sha256.slice(HALF)];
  const uris = ["file:///etc/passwd", `${url}/value`, "s3://liar/value", `${uri}/../other`, "", "../../x"];
  const hashes = [
    content + ZEROS,
    ZEROS + mac,
    mac + content,
    content + mac.replace(/.$/, (digit) => (digit === "0" ? "1" : "0")),
    content + randomBytes(HALF / 2).toString("hex"),
    "0".repeat(2 * HALF),
  ];
  return [
    ...uris.map((other) => ({ ...honest, uri: other })),
    ...["text", "bytes", "pickle"].map((codec) => ({ ...honest, codec })),
    ...[0, sizeBytes + 1].map((bytes) => ({ ...honest, sizeBytes: bytes })),
    ...hashes.map((other) => ({ ...honest, sha256: other })),
    { uri: `${url}/value`, codec: "json", sizeBytes: 2, sha256: randomBytes(HALF).toString("hex") },
  ];
}

const call = (path: string, asked: Wire): Spoken => ["POST", "/calls", JSON.stringify({ path, call: asked })];
const records = (list: readonly Wire[]): Spoken => {
  const lines = list.map((one, index) => JSON.stringify({ seq: index + 1, at: AT, ...one }));
  return ["POST", "/records", `${lines.join("\n")}\n`, "application/x-ndjson"];
};

/** The same request so many times. */
const repeated = ([method, path, body = "", type = ""]: Spoken, times: number): Spoken => [
  method,
  path,
  body,
  type,
  times,
];

/** The records of a completed task call. */
function completed(path: string, result: Ref): Wire[] {
  const facts = { type: "task", path, name: path, inputHash: "0123456789abcdef", codeVersion: "one" };
  return [
    { ...facts, move: "queue", tries: 0 },
    { ...facts, move: "begin", tries: 1 },
    { ...facts, move: "complete", tries: 1, result },
  ];
}

/** Starts a run of this deployment that sends these requests to its worker. */
function speaks(stage: Stage, name: string, requests: readonly Spoken[], more: object = {}): Offer {
  const entry = { kind: "command" as const, argv: speakerCommand(requests) };
  return stage.liar.offer(
    stage.assignment(stage.sign(stage.spec(name, { entry, ...more })), { deployment: name }),
  );
}

/** What the worker told its flow, in the order of the requests. */
async function toldTo(stage: Stage, offer: Offer): Promise<string[]> {
  await stage.whileAlive(stage.liar.until("the flow has ended", () => offer.isOver));
  return answersIn(offer.lines);
}

/** The signed ref in a record that matches. @throws Failure if the worker does not report it. */
async function reported(stage: Stage, offer: Offer, fields: Wire): Promise<Ref> {
  const find = () =>
    offer.control.find(
      (record) =>
        "result" in record && Object.entries(fields).every(([name, value]) => record[name] === value),
    );
  await stage.liar.until("the worker reports a signed ref", () => find() !== undefined);
  return Ref.parse(find()?.result);
}

interface Lied {
  /** The answer that the flow got after this lie. */
  readonly answer: string;
  readonly index: number;
}

/** Whether what reached the flow is right: nothing of each lie, and the honest answer after all of them. */
function judged(args: {
  readonly answers: readonly string[];
  readonly isRefused: (answer: string) => boolean;
  readonly isHonest: (answer: string) => boolean;
  readonly heard: readonly string[];
}): Verdict {
  const lies: Lied[] = args.answers.slice(0, -1).map((answer, index) => ({ answer, index }));
  const taken = lies.find(({ answer }) => !args.isRefused(answer));
  if (taken !== undefined) return broken(`lie ${taken.index + 1} reached the flow: ${taken.answer}`);
  const last = args.answers.at(-1) ?? "";
  if (!args.isHonest(last)) return broken(`an honest ref did not reach the flow: ${last}`);
  const [stray] = args.heard;
  if (stray !== undefined) return broken(`somebody loaded a chosen address: ${stray}`);
  return held(`none of ${lies.length} lies reached the flow, and the honest ref after them did`);
}

const Refs = z.object({ result: Ref.nullable() });
const Page = z.object({ items: z.array(Refs), waits: z.array(z.unknown()).optional() });

/** The JSON of an answer with status 200. */
function bodyOf<T>(answer: string, schema: z.ZodType<T>): T | null {
  if (!answer.startsWith("200 ")) return null;
  return schema.safeParse(JSON.parse(answer.slice("200 ".length))).data ?? null;
}

/** Whether a ref is the honest one as a flow gets it: without the MAC. */
const isOf = (ref: Ref | null | undefined, honest: Ref) =>
  ref?.uri === honest.uri && ref.sha256 === honest.sha256.slice(0, HALF) + ZEROS;

const CHECKPOINTS: Attack = {
  name: "chosen-results",
  group: "refs",
  tries: "Lists results of tasks that were changed, invented, or belong to another task, input, code or run",
  fields: ["listCheckpoints.items[].result.*"],
  isAlone: true,
  async play(stage) {
    const { name } = CHECKPOINTS;
    await using elsewhere = await startElsewhere();
    const item = {
      path: "a",
      kind: "task",
      own: true,
      at: AT,
      codeVersion: "one",
      inputHash: "0123456789abcdef",
    };
    const refs = { a: newRef(stage), b: newRef(stage), kept: newRef(stage) };
    const own = [
      ...completed("a", refs.a),
      ...completed("b", refs.b),
      { type: "kept", path: "a", result: refs.kept },
    ];
    const forms = (a: Ref, b: Ref, kept: Ref): Wire[] => [
      ...changed(a, elsewhere.url).map((result) => ({ ...item, result })),
      { ...item, result: b },
      { ...item, result: kept },
      { ...item, path: "b", result: a },
      { ...item, kind: "kept", result: a },
      { ...item, codeVersion: "two", result: a },
      { ...item, inputHash: "f".repeat(16), result: a },
      { ...item, inputHash: null, codeVersion: null, result: a },
    ];
    const count = forms(refs.a, refs.b, refs.kept).length + 1;
    const list: Spoken = ["GET", "/checkpoints"];
    const offer = speaks(stage, name, [records(own), repeated(list, count)]);
    const find = (fields: Wire) => reported(stage, offer, fields);
    const say = (items: (a: Ref, b: Ref, kept: Ref) => Wire[]) =>
      stage.whileAlive(
        stage.liar.lie("listCheckpoints", {
          body: async (honest) => ({
            ...honest,
            items: items(
              await find({ path: "a", type: "task" }),
              await find({ path: "b" }),
              await find({ type: "kept" }),
            ),
          }),
        }),
      );
    for (let index = 0; index < count - 1; index++)
      await say((a, b, kept) => forms(a, b, kept).slice(index, index + 1));
    await say((a) => [{ ...item, result: a }]);
    const [, ...answers] = await toldTo(stage, offer);
    const a = await find({ path: "a", type: "task" });
    // The same path, input and code in another run.
    const foreign = speaks(stage, name, [list]);
    await stage.whileAlive(
      stage.liar.lie("listCheckpoints", {
        body: (honest) => ({ ...honest, items: [{ ...item, result: a }] }),
      }),
    );
    const told = await toldTo(stage, foreign);
    return judged({
      answers: [...told, ...answers],
      isRefused: (answer) => bodyOf(answer, Page)?.items.length === 0,
      isHonest: (answer) => isOf(bodyOf(answer, Page)?.items[0]?.result, a),
      heard: elsewhere.heard,
    });
  },
};

const RUNS: Attack = {
  name: "chosen-run-results",
  group: "refs",
  tries: "Answers with results of runs that were changed, invented, or belong to another run",
  fields: ["call.result.*", "call.runId"],
  isAlone: true,
  async play(stage) {
    const { name } = RUNS;
    await using elsewhere = await startElsewhere();
    const end = () =>
      speaks(stage, name, [records([{ type: "outcome", outcome: "completed", result: newRef(stage) }])]);
    const [one, other] = [end(), end()];
    const [result, foreign] = [
      await reported(stage, one, { type: "ended" }),
      await reported(stage, other, { type: "ended" }),
    ];
    const runId = String(one.assignment.runId);
    const forms: Wire[] = [
      ...[...changed(result, elsewhere.url), foreign].map((ref) => ({ result: ref })),
      { runId: other.assignment.runId, result: foreign },
    ];
    const asked = call("child", { kind: "get-run", runId });
    const offer = speaks(stage, name, [repeated(asked, forms.length + 1)]);
    for (const form of [...forms, { result }])
      await stage.whileAlive(
        stage.liar.lie("call", { body: (honest) => ({ ...honest, state: "completed", ...form }) }),
      );
    return judged({
      answers: await toldTo(stage, offer),
      // The flow gets the state of the run. A ref without a hash cannot be loaded.
      isRefused: (answer) =>
        !answer.startsWith("200 ") || bodyOf(answer, Refs)?.result?.sha256 === ZEROS + ZEROS,
      isHonest: (answer) => isOf(bodyOf(answer, Refs)?.result, result),
      heard: elsewhere.heard,
    });
  },
};

const Job = z.object({ job: z.object({ handle: Ref.nullable() }), answer: z.unknown() });
const Handled = z.looseObject({ callId: z.string(), call: z.looseObject({ kind: z.string(), handle: Ref }) });

const JOBS: Attack = {
  name: "chosen-handles",
  group: "refs",
  tries: "Answers with handles and results of jobs that were changed, invented, or belong to another job",
  fields: ["call.job.*", "call.answer.*", "call.waitId"],
  isAlone: true,
  async play(stage) {
    const { name } = JOBS;
    await using elsewhere = await startElsewhere();
    const handles: z.infer<typeof Handled>[] = [];
    const stop = stage.liar.hear((verb, body) => {
      const { data } = Handled.safeParse(body);
      if (verb === "call" && data !== undefined) handles.push(data);
    });
    const submit = (path: string) => call(path, { kind: "job-handle", handle: newRef(stage) });
    const wait = { kind: "job", job: "train", pollEveryMs: null, cancels: false };
    const asked = call("a", { kind: "wait", wait });
    const count = changed(newRef(stage), elsewhere.url).length;
    const lies = 2 * count + 4;
    const offer = speaks(stage, name, [submit("a"), submit("b"), repeated(asked, lies + 1)]);
    await stage.whileAlive(stage.liar.until("two jobs were submitted", () => handles.length === 2));
    stop();
    const [a, b] = handles;
    if (a === undefined || b === undefined) return broken("no job was submitted");
    const job = (handle: Ref) => ({ handle, intendedBy: offer.attemptId, createdAt: AT, earlier: false });
    const done = (result: Ref) => ({ state: "satisfied", answer: { outcome: "completed", result } });
    const honest = {
      ...{ waitId: a.callId, state: "open", inMs: null, answer: null, answeredBy: null, run: null },
      job: job(a.call.handle),
    };
    const forms: Wire[] = [
      ...[...changed(a.call.handle, elsewhere.url), b.call.handle].map((handle) => ({ job: job(handle) })),
      ...[...changed(a.call.handle, elsewhere.url), a.call.handle].map((result) => done(result)),
      { waitId: b.callId },
      { waitId: b.callId, job: job(b.call.handle) },
    ];
    for (const form of [...forms, {}])
      await stage.whileAlive(
        stage.liar.lie("call", {
          body: ({ runId, state, cause, result, ...database }) => ({ ...database, ...honest, ...form }),
        }),
      );
    const [, , ...answers] = await toldTo(stage, offer);
    return judged({
      answers,
      isRefused: (answer) => !answer.startsWith("200 "),
      isHonest: (answer) => isOf(bodyOf(answer, Job)?.job.handle, a.call.handle),
      heard: elsewhere.heard,
    });
  },
};

const Started = z.looseObject({
  callId: z.string(),
  call: z.looseObject({
    kind: z.literal("start-task"),
    task: z.looseObject({ name: z.string(), input: Ref }),
  }),
});

const ARGUMENTS: Attack = {
  name: "chosen-arguments",
  group: "refs",
  tries: "Starts remote tasks with arguments that were changed, invented, or belong to another call or run",
  fields: [
    "claim.assignments[].trigger.task.*",
    "claim.assignments[].trigger.path",
    "claim.assignments[].runId",
  ],
  isAlone: true,
  async play(stage) {
    const { name } = ARGUMENTS;
    const { pool } = stage.ground;
    await using elsewhere = await startElsewhere();
    const calls: z.infer<typeof Started>[] = [];
    const stop = stage.liar.hear((verb, body) => {
      const { data } = Started.safeParse(body);
      if (verb === "call" && data !== undefined) calls.push(data);
    });
    const remoteTasks = { train: { pools: [pool] }, other: { pools: [pool] } };
    const start = (path: string) =>
      call(path, {
        ...{ kind: "start-task", pool, onParentEnd: "abandon" },
        task: { name: "train", retries: 0, input: newRef(stage) },
      });
    const parent = speaks(stage, name, [start("a"), start("b")], { remoteTasks });
    await toldTo(stage, parent);
    stop();
    const [a, b] = calls;
    if (a === undefined || b === undefined) return broken("no remote task was started");
    const { runId } = parent.assignment;
    const spec = stage.sign(stage.spec(name, { remoteTasks }));
    const child = (id: string, path: string, input: Ref, task = "train", from: unknown = runId) =>
      stage.give(
        stage.assignment(spec, {
          ...{ deployment: name, runId: id },
          trigger: { kind: "run", runId: from, path, task: { name: task, input, retries: 0 } },
        }),
        name,
      );
    const { input } = a.call.task;
    const forms = [
      ...changed(input, elsewhere.url).map((ref) => () => child(a.callId, "a", ref)),
      () => child(a.callId, "a", b.call.task.input),
      () => child(a.callId, "b", input),
      () => child(stage.liar.id(), "a", input),
      () => child(a.callId, "a", input, "other"),
      () => child(a.callId, "a", input, "train", stage.liar.id()),
    ];
    for (const form of forms) {
      const { ran, outcome, why } = await form();
      if (ran || outcome !== "refused") return broken(`a task got the arguments: ${outcome} ${why}`);
    }
    const honest = await child(a.callId, "a", input);
    if (!honest.ran) return broken(`honest arguments were refused, so nothing was tried: ${honest.why}`);
    const [stray] = elsewhere.heard;
    if (stray !== undefined) return broken(`somebody loaded a chosen address: ${stray}`);
    return held(`each of ${forms.length} lies was refused, and the honest arguments after them were not`);
  },
};

/** Attacks by refs that the control plane chooses: of results, jobs and arguments. */
export const REF_ATTACKS: readonly Attack[] = [CHECKPOINTS, RUNS, JOBS, ARGUMENTS];
