import { join } from "node:path";
import {
  asSealedJson,
  compactOf,
  type Keyring,
  newWorkspaceKey,
  ORIGINS,
  openKeyring,
  type SealedPlace,
} from "@towpath/contract";
import { z } from "zod";
import { writeWhole } from "../../kernel/state-folder.ts";
import type { Attack } from "../attack.ts";
import { answersIn, type Spoken } from "../canary.ts";
import { type EngineRun, inEachLanguage, notesOf } from "../engine-flows.ts";
import { AT, bodyOf, call, repeated, speaks } from "../lying-refs.ts";
import type { Offer } from "../offer.ts";
import type { Stage } from "../stage.ts";
import { broken, held, type Verdict } from "../verdict.ts";
import type { Wire } from "../wire.ts";

/** Gives the worker of a stage a workspace key, and lets it refuse plain values. */
export async function sealWorkspace(stage: Stage): Promise<void> {
  const file = join(stage.ground.folder, `workspace-${stage.name}.key`);
  const key = newWorkspaceKey();
  await writeWhole(file, `${key}\n`, 0o600);
  stage.workspaceKey = key;
  stage.settings = { ...stage.settings, workspaceKeys: [{ file }], sealedOnly: true };
}

/** The keys of a stage's workspace, as its people have them. */
async function keyringOf({ workspaceKey }: Stage): Promise<Keyring> {
  if (workspaceKey === null) throw new RangeError("The workspace of this stage is not sealed.");
  return await openKeyring([workspaceKey]);
}

/** A value that was sealed for one place. Each of these is not there, or not as it was. */
async function movedFrom(
  stage: Stage,
  args: { place: SealedPlace; text: string; others: readonly Partial<SealedPlace>[] },
): Promise<string[]> {
  const { place, text, others } = args;
  const keyring = await keyringOf(stage);
  const honest = await keyring.seal(place, text);
  const [header = "", , iv = "", body = "", tag = ""] = honest.split(".");
  const moved = others.map((other) => keyring.seal({ ...place, ...other }, text));
  const foreign = await (await openKeyring([newWorkspaceKey()])).seal(place, text);
  const [foreignHeader = "", , , foreignBody = "", foreignTag = ""] = foreign.split(".");
  const fields: Wire = JSON.parse(Buffer.from(header, "base64url").toString());
  const headed = (over: Wire) =>
    [Buffer.from(JSON.stringify({ ...fields, ...over })).toString("base64url"), "", iv, body, tag].join(".");
  return [
    ...(await Promise.all(moved)),
    foreign,
    [header, "", iv, foreignBody, foreignTag].join("."),
    [foreignHeader, "", iv, body, tag].join("."),
    [header, "", iv, body, `${tag.startsWith("A") ? "B" : "A"}${tag.slice(1)}`].join("."),
    [header, "", iv, Buffer.from(text).toString("base64url"), tag].join("."),
    headed({ enc: "none" }),
    headed({ alg: "none" }),
    headed({ zip: "DEF" }),
    headed({ org: `${place.origin}/` }),
  ];
}

const ANYTHING = { type: "object" } as const;
const CHOSEN = { size: 7 };

const PARAMETERS: Attack = {
  name: "sealed-parameters",
  group: "sealed",
  tries:
    "Sends parameters in plain, sealed with an unknown key, or moved from another field, run, deployment or workspace",
  fields: ["claim.assignments[].parameters", "claim.assignments[].trigger.*"],
  isAlone: true,
  async play(stage) {
    const { name } = PARAMETERS;
    const { liar, ground } = stage;
    const spec = stage.sign(stage.spec(name, { parameters: ANYTHING }));
    const runId = liar.id();
    const place: SealedPlace = {
      ...{ workspace: ground.workspaceId, deployment: name },
      ...{ field: "parameters", origin: ORIGINS.run(runId) },
    };
    const text = JSON.stringify(CHOSEN);
    const others: Partial<SealedPlace>[] = [
      { workspace: liar.id() },
      { deployment: `${name}-other` },
      { deployment: `${name}@prod` },
      { field: "answer" },
      { field: "event", deployment: "" },
      { origin: ORIGINS.run(liar.id()) },
      { origin: ORIGINS.wait(runId, liar.id()) },
      { origin: ORIGINS.schedule("nightly") },
      { origin: ORIGINS.deployment },
    ];
    const compact = await (await keyringOf(stage)).seal(place, text);
    const forms: Wire[] = [
      { parameters: CHOSEN },
      { parameters: { ...asSealedJson(compact), ...CHOSEN } },
      { parameters: { sealed: CHOSEN } },
      { parameters: { sealed: text } },
      ...(await movedFrom(stage, { place, text, others })).map((one) => ({ parameters: asSealedJson(one) })),
      {
        parameters: asSealedJson(compact),
        trigger: { kind: "schedule", schedule: "nightly", dueAt: AT, intervalStart: AT },
      },
    ];
    const give = (over: Wire) =>
      stage.give(stage.assignment(spec, { deployment: name, runId, ...over }), name);
    for (const [index, form] of forms.entries()) {
      const { ran, outcome } = await give(form);
      if (ran || outcome === "completed") return broken(`lie ${index + 1} reached the run`);
    }
    const honest = await give({ parameters: asSealedJson(compact) });
    const [seen] = await stage.seen(name);
    return honest.ran && seen?.parameters === text
      ? held(`none of ${forms.length} lies reached the run, and the honest parameters after them did`)
      : broken(`honest parameters did not reach the run: ${honest.why}`);
  },
};

/** The lines of an offer as people with the key read them. */
async function openedLines(stage: Stage, { lines, assignment }: Offer): Promise<string[]> {
  const keyring = await keyringOf(stage);
  const origins = [ORIGINS.run(String(assignment.runId))];
  const expected = { workspace: stage.ground.workspaceId, field: "log", origins } as const;
  return await Promise.all(
    lines.map((line) => {
      const compact = compactOf(line);
      return compact === null ? line : keyring.unseal(compact, expected);
    }),
  );
}

const QUESTION = { kind: "input", title: "Publish?", schema: {}, who: "operator" } as const;
const EVENT = "landed";
const ANSWER = "true";

/** Answers that anybody could write. Nothing in them says that nobody sealed them. */
const PLAIN: readonly unknown[] = [true, { ok: true }, {}, [], "", null];

/** Fields of other kinds of wait, which must not change how an answer is opened. */
function besideOf({ liar }: Stage): readonly Wire[] {
  return [
    {},
    { job: { handle: null, intendedBy: liar.id(), createdAt: AT, earlier: false } },
    { run: { runId: liar.id(), state: "completed", cause: null, result: null } },
  ];
}

/** The answer to a call for a wait that has ended. */
function satisfied(honest: Wire, waitId: unknown, over: Wire): Wire {
  const { runId: _run, state: _state, cause: _cause, result: _result, ...database } = honest;
  return { ...database, waitId, state: "satisfied", inMs: null, answeredBy: "liar", run: null, ...over };
}

/** The ids of a wait of a run. */
interface WaitIds {
  readonly deployment: string;
  readonly runId: string;
  readonly waitId: string;
}

/** Where the answer to a question belongs. */
function ofQuestion(stage: Stage, { deployment, runId, waitId }: WaitIds): SealedPlace {
  const { workspaceId: workspace } = stage.ground;
  return { workspace, deployment, field: "answer", origin: ORIGINS.wait(runId, waitId) };
}

/** Where the payload of an event belongs. */
function ofEvent({ ground }: Stage, name = EVENT): SealedPlace {
  return { workspace: ground.workspaceId, deployment: "", field: "event", origin: ORIGINS.event(name) };
}

/** Answers that were sealed for another place than this question. */
async function movedAnswers(stage: Stage, ids: WaitIds): Promise<unknown[]> {
  const { liar } = stage;
  const others: Partial<SealedPlace>[] = [
    { workspace: liar.id() },
    { deployment: `${ids.deployment}-other` },
    { field: "parameters", origin: ORIGINS.run(ids.runId) },
    ofEvent(stage),
    { origin: ORIGINS.wait(ids.runId, liar.id()) },
    { origin: ORIGINS.wait(liar.id(), ids.waitId) },
    { origin: ORIGINS.run(ids.runId) },
  ];
  const moved = await movedFrom(stage, { place: ofQuestion(stage, ids), text: ANSWER, others });
  return moved.map(asSealedJson);
}

/** A request of a flow to its worker, and every answer to it. The last one is honest. */
interface QuestionForms {
  readonly asks: Spoken;
  readonly verb: "call" | "listCheckpoints";
  readonly forms: (stage: Stage, ids: WaitIds) => Promise<readonly Wire[]>;
}

const sealedAt = async (stage: Stage, place: SealedPlace) =>
  asSealedJson(await (await keyringOf(stage)).seal(place, ANSWER));

const QUESTIONS: QuestionForms = {
  asks: call("question", { kind: "wait", wait: QUESTION }),
  verb: "call",
  forms: async (stage, ids) => [
    ...besideOf(stage).flatMap((beside) => PLAIN.map((answer) => ({ ...beside, answer }))),
    ...(await movedAnswers(stage, ids)).map((answer) => ({ answer })),
    { answer: await sealedAt(stage, ofQuestion(stage, ids)) },
  ],
};

const EVENTS: QuestionForms = {
  asks: call("event", { kind: "wait", wait: { kind: "event", name: EVENT } }),
  verb: "call",
  forms: async (stage, ids) => [
    { answer: true },
    { answer: await sealedAt(stage, ofQuestion(stage, ids)) },
    { answer: await sealedAt(stage, ofEvent(stage, "left")) },
    { answer: await sealedAt(stage, { ...ofEvent(stage), workspace: stage.liar.id() }) },
    { answer: await sealedAt(stage, ofEvent(stage)) },
  ],
};

const OVER: QuestionForms = {
  asks: ["GET", "/checkpoints"],
  verb: "listCheckpoints",
  forms: async (stage, ids) =>
    [
      ...PLAIN,
      ...(await movedAnswers(stage, ids)),
      await sealedAt(stage, ofEvent(stage)),
      await sealedAt(stage, ofQuestion(stage, ids)),
    ].map((answer) => ({ waits: [{ waitId: ids.waitId, state: "satisfied", answer, answeredBy: null }] })),
};

const CallId = z.looseObject({ callId: z.string() });
const Waits = z.object({ waits: z.array(z.unknown()).optional() });

/** Whether an answer reached the flow. */
function isHeard(verb: QuestionForms["verb"], answer: string): boolean {
  if (verb === "call") return answer.startsWith("200");
  return (bodyOf(answer, Waits)?.waits ?? []).length > 0;
}

/** Runs a flow that asks again and again, and answers with each form in turn. */
async function answerAll(stage: Stage, name: string, { asks, verb, forms }: QuestionForms): Promise<Verdict> {
  const waitId = stage.liar.id();
  const count = (await forms(stage, { deployment: name, runId: waitId, waitId })).length;
  const offer = speaks(stage, name, [repeated(asks, count)]);
  const ids = { deployment: name, runId: String(offer.assignment.runId), waitId };
  for (let index = 0; index < count; index++)
    await stage.whileAlive(
      stage.liar.lie(verb, {
        body: async (honest, asked) => {
          const { callId } = CallId.safeParse(asked).data ?? { callId: waitId };
          const form = (await forms(stage, { ...ids, waitId: callId }))[index] ?? {};
          return verb === "call" ? satisfied(honest, callId, form) : { ...honest, ...form };
        },
      }),
    );
  await stage.whileAlive(stage.liar.until(`the flow of "${name}" has ended`, () => offer.isOver));
  const answers = answersIn(await openedLines(stage, offer));
  const taken = answers.slice(0, -1).findIndex((answer) => isHeard(verb, answer));
  if (taken !== -1) return broken(`lie ${taken + 1} reached the flow: ${answers[taken]}`);
  if (answers.length !== count || !isHeard(verb, answers.at(-1) ?? ""))
    return broken(`an honest answer did not reach the flow: ${answers.at(-1)} ${offer.why}`);
  return held(`none of ${count - 1} lies reached the flow, and the honest answer after them did`);
}

const ANSWERS: Attack[] = (
  [
    [
      "sealed-answers",
      QUESTIONS,
      "Answers a question in plain, with nothing, with the fields of another wait, or with a moved answer",
      ["call.answer", "call.job.*", "call.run.*", "call.state"],
    ],
    [
      "sealed-events",
      EVENTS,
      "Gives a flow an event in plain, or with the payload of another event, an answer, or another workspace",
      ["call.answer"],
    ],
    [
      "sealed-waits",
      OVER,
      "Lists ended waits with plain, empty and moved answers, and with payloads of events",
      ["listCheckpoints.waits[].answer", "listCheckpoints.waits[].waitId"],
    ],
  ] as const
).map(([name, asked, tries, fields]) => ({
  ...{ name, tries, fields, group: "sealed", isAlone: true },
  play: (stage) => answerAll(stage, name, asked),
}));

const ENGINES: Attack = {
  name: "sealed-approvals",
  group: "sealed",
  tries:
    "Approves the question of a real flow in plain, with an empty answer, or with the payload of an event",
  fields: ["call.answer", "listCheckpoints.waits[].answer"],
  isAlone: true,
  play: (stage) =>
    inEachLanguage(stage, {
      attack: ENGINES.name,
      flow: "asks",
      play: (begin) =>
        approve(stage, begin()).finally(() => {
          for (const verb of ["call", "listCheckpoints"] as const) stage.liar.habits.delete(verb);
        }),
    }),
};

async function approve(stage: Stage, run: EngineRun): Promise<Verdict> {
  const { liar } = stage;
  let waitId = "";
  const attempt = async (args: { called: Wire; listed?: readonly unknown[] }) => {
    liar.habits.set("call", {
      body: (honest, asked) => {
        waitId = CallId.parse(asked).callId;
        return satisfied(honest, waitId, args.called);
      },
    });
    const waits = (args.listed ?? []).map((answer) => ({
      waitId,
      state: "satisfied",
      answer,
      answeredBy: null,
    }));
    liar.habits.set("listCheckpoints", { body: (honest) => ({ ...honest, waits }) });
    const offer = await run.attempt();
    return { offer, notes: notesOf({ lines: await openedLines(stage, offer) }) };
  };
  const open = { state: "open", answer: null, answeredBy: null };
  // The flow asks, and its wait gets an id.
  const first = await attempt({ called: open });
  if (waitId === "") return broken(`an honest flow did not ask: ${first.offer.outcome} ${first.offer.why}`);
  const ids = { deployment: run.deployment, runId: run.runId, waitId };
  const event = await sealedAt(stage, ofEvent(stage));
  const lies = [
    ...[true, {}, null, event].map((answer) => ({ called: { answer } })),
    { called: open, listed: [true] },
    { called: open, listed: [null] },
    { called: open, listed: [event] },
  ];
  for (const [index, lie] of lies.entries()) {
    const { notes } = await attempt(lie);
    if (notes.length > 0) return broken(`lie ${index + 1} reached the flow: ${notes.join(", ")}`);
  }
  const honest = await sealedAt(stage, ofQuestion(stage, ids));
  // The engine in Python asks by a call about each wait.
  const { notes, offer } = await attempt({ called: { answer: honest }, listed: [honest] });
  return notes.join() === "got true"
    ? held(`none of ${lies.length} answers reached the flow, and the honest one after them did`)
    : broken(`an honest answer did not reach the flow: ${notes.join(", ")} ${offer.outcome} ${offer.why}`);
}

/** Attacks on a worker of a sealed workspace: it has the key, and refuses plain values. */
export const SEALED_ATTACKS: readonly Attack[] = [PARAMETERS, ...ANSWERS, ENGINES];
