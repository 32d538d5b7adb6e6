import type { Attack } from "../attack.ts";
import { answersIn, askerCommand } from "../canary.ts";
import type { Lie } from "../liar.ts";
import type { Stage } from "../stage.ts";
import { broken, held, type Verdict } from "../verdict.ts";
import type { Wire } from "../wire.ts";

/** An attack on the answers that a flow gets through its worker. What no schema allows must not reach the flow. */
function onFlow(
  name: string,
  args: {
    tries: string;
    fields: readonly string[];
    verb: "call" | "listCheckpoints";
    forms: (stage: Stage) => readonly (Wire | string)[];
  },
): Attack {
  const { verb } = args;
  const play = async (stage: Stage): Promise<Verdict> => {
    const forms = args.forms(stage);
    const argv = askerCommand(name, verb, forms.length + 1);
    const spec = stage.sign(stage.spec(name, { entry: { kind: "command", argv } }));
    const offer = stage.liar.offer(stage.assignment(spec, { deployment: name }));
    for (const form of forms) await stage.whileAlive(stage.liar.lie(verb, lieOf(form)));
    await stage.whileAlive(stage.liar.until(`the flow of "${name}" has ended`, () => offer.isOver));
    const answers = answersIn(offer.lines);
    const taken = answers.slice(0, forms.length).findIndex((answer) => answer.startsWith("200"));
    if (taken !== -1) return broken(`the flow got ${answers[taken]}`);
    if (answers.at(-1)?.startsWith("200") !== true)
      return broken(`an honest answer did not reach the flow: ${answers.at(-1)}`);
    return held(`none of ${forms.length} lies reached the flow, and the honest answer after them did`);
  };
  return { name, group: "flows", tries: args.tries, fields: args.fields, play };
}

function lieOf(form: Wire | string): Lie {
  if (typeof form === "string") return { text: () => form };
  return { body: (honest) => ({ ...honest, ...form }) };
}

const REF = { uri: "file:///x", codec: "json", sizeBytes: 2, sha256: "a".repeat(64) };
const BAD_REFS: readonly unknown[] = [
  { ...REF, uri: "x".repeat(3_000) },
  { ...REF, codec: "../../x" },
  { ...REF, codec: "__proto__" },
  { ...REF, sizeBytes: -1 },
  { ...REF, sizeBytes: 1e308 },
  { ...REF, sha256: "short" },
  { uri: "file:///etc/passwd" },
  "file:///etc/passwd",
  [],
];
const NOT_JSON = ["<html>", "", "null", "[]", `${"[".repeat(100_000)}`];

/** An honest answer to a call that asked for a wait. */
function honestWait(stage: Stage): Wire {
  return {
    ...{ runId: undefined, result: undefined, cause: undefined },
    ...{ waitId: stage.liar.id(), state: "open", inMs: null, answer: null, answeredBy: null, run: null },
  };
}

const CALLS = onFlow("call-answers", {
  tries: "Answers a flow's calls with other shapes, paths for ids, refs above the limits, and HTML",
  fields: [
    ...["runId", "state", "cause", "result.*", "result", "granted", "withoutSlots", "error", "error.*"],
    ...["waitId", "inMs", "answeredBy", "run", "run.*", "job", "job.*"],
  ].map((field) => `call.${field}`),
  verb: "call",
  forms: (stage) => [
    ...NOT_JSON,
    ...["../../x", "", 7, null].map((runId) => ({ runId })),
    { state: {} },
    { state: 7 },
    { cause: "liar" },
    { cause: "__proto__" },
    ...BAD_REFS.map((result) => ({ result })),
    { granted: "all" },
    { granted: [7] },
    { error: "text" },
    { error: { message: "x".repeat(10_000) } },
    { granted: [], withoutSlots: 7 },
    ...[
      { waitId: "../x" },
      { state: "won" },
      { inMs: -1 },
      { inMs: 1e308 },
      { answeredBy: 7 },
      { run: { runId: "../x", state: "ready", cause: null, result: null } },
      { run: { runId: stage.liar.id(), state: 7, cause: null, result: null } },
      { job: { handle: "file:///etc/passwd", intendedBy: stage.liar.id(), createdAt: "now", earlier: 1 } },
    ].map((over) => ({ ...honestWait(stage), ...over })),
  ],
});

const CHECKPOINTS = onFlow("checkpoint-answers", {
  tries: "Lists checkpoints of other shapes, with refs above the limits, and cursors that are no text",
  fields: [
    "items",
    "items[].*",
    "next",
    "waits",
    "waits[].waitId",
    "waits[].state",
    "waits[].answeredBy",
  ].map((field) => `listCheckpoints.${field}`),
  verb: "listCheckpoints",
  forms: () => {
    const item = {
      path: "a",
      kind: "task",
      own: true,
      at: "2026-01-01T00:00:00.000Z",
      codeVersion: null,
      inputHash: null,
      result: REF,
    };
    const bad = [
      { path: 7 },
      { kind: "liar" },
      { own: "yes" },
      { at: "yesterday" },
      { codeVersion: "" },
      { codeVersion: "x".repeat(100) },
      { inputHash: 7 },
      { error: { message: 7 } },
      ...BAD_REFS.map((result) => ({ result })),
    ];
    return [
      ...NOT_JSON,
      { items: "all" },
      { next: 7 },
      { waits: [{ waitId: "../x", state: "satisfied", answer: null, answeredBy: null }] },
      { waits: [{ waitId: crypto.randomUUID(), state: "open", answer: null, answeredBy: null }] },
      { waits: [{ waitId: crypto.randomUUID(), state: "satisfied", answer: null, answeredBy: 7 }] },
      ...bad.map((over) => ({ items: [{ ...item, ...over }] })),
    ];
  },
});

/** Attacks on what a running flow gets through its worker. */
export const FLOW_ATTACKS: readonly Attack[] = [CALLS, CHECKPOINTS];
