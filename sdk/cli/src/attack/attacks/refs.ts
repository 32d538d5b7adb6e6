import { Ref, type SpecInput } from "@towpath/contract";
import { z } from "zod";
import type { Attack } from "../attack.ts";
import type { Spoken } from "../canary.ts";
import { startElsewhere } from "../elsewhere.ts";
import {
  AT,
  bodyOf,
  call,
  changed,
  completed,
  isOf,
  judged,
  newRef,
  Page,
  Refs,
  records,
  repeated,
  reported,
  speaks,
  toldTo,
  ZEROS,
} from "../lying-refs.ts";
import type { Stage } from "../stage.ts";
import { broken, held } from "../verdict.ts";
import type { Wire } from "../wire.ts";
import { PARAMETER_REFS } from "./parameter-refs.ts";

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

/** Runs a flow that starts the task "train" twice. @returns its run, and the calls as they left */
async function startTasks(
  stage: Stage,
  { name, remoteTasks }: Pick<SpecInput, "remoteTasks"> & { name: string },
) {
  const calls: z.infer<typeof Started>[] = [];
  const stop = stage.liar.hear((verb, body) => {
    const { data } = Started.safeParse(body);
    const isNew = calls.every(({ callId }) => callId !== data?.callId);
    // A worker may repeat a call whose answer was lost.
    if (verb === "call" && data !== undefined && isNew) calls.push(data);
  });
  const start = (path: string) =>
    call(path, {
      ...{ kind: "start-task", pool: stage.ground.pool, onParentEnd: "abandon" },
      task: { name: "train", retries: 0, input: newRef(stage) },
    });
  const parent = speaks(stage, name, [start("a"), start("b")], { remoteTasks });
  await toldTo(stage, parent);
  stop();
  return { parent, calls };
}

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
    const remoteTasks = { train: { pools: [pool] }, other: { pools: [pool] } };
    const { parent, calls } = await startTasks(stage, { name, remoteTasks });
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

const WITHDRAWN: Attack = {
  name: "withdrawn-task",
  group: "refs",
  tries:
    "Starts a remote task with honest arguments, under a version that does not allow the task alone, or only elsewhere",
  fields: ["claim.assignments[].trigger.task.name", "claim.assignments[].version"],
  isAlone: true,
  async play(stage) {
    const { name } = WITHDRAWN;
    const { pool } = stage.ground;
    const remoteTasks = { train: { pools: [pool] } };
    const { parent, calls } = await startTasks(stage, { name, remoteTasks });
    const [a] = calls;
    if (a === undefined) return broken("no remote task was started");
    const under = (version: number, allowed: SpecInput["remoteTasks"]) =>
      stage.give(
        stage.assignment(stage.sign(stage.spec(name, { version, remoteTasks: allowed })), {
          ...{ deployment: name, version, runId: a.callId },
          trigger: {
            kind: "run",
            runId: parent.assignment.runId,
            path: "a",
            task: { ...a.call.task, retries: 0 },
          },
        }),
        name,
      );
    for (const allowed of [
      {},
      { other: { pools: [pool] } },
      { train: { pools: ["towpath-attack-elsewhere"] } },
    ]) {
      const { ran, outcome, why } = await under(2, allowed);
      if (ran || outcome !== "refused") return broken(`the task ran: ${outcome} ${why}`);
    }
    const honest = await under(1, remoteTasks);
    return honest.ran
      ? held("each version without the task refused it, and the one with it did not")
      : broken(`the honest version was refused, so nothing was tried: ${honest.why}`);
  },
};

/** Attacks by refs that the control plane chooses: of results, jobs, arguments and parameters. */
export const REF_ATTACKS: readonly Attack[] = [CHECKPOINTS, RUNS, JOBS, ARGUMENTS, WITHDRAWN, PARAMETER_REFS];
