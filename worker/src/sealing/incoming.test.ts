import {
  type Called,
  type CalledWait,
  type FlowCall,
  type Json,
  newWorkspaceKey,
  ORIGINS,
} from "@towpath/contract";
import { expect, test } from "vitest";
import { openCalled, openCheckpoints } from "./incoming.ts";
import { WorkerKeyring } from "./keyring.ts";

const keyring = new WorkerKeyring([newWorkspaceKey()]);
const run = { workspace: "w", deployment: "d", runId: "r" };
const opener = { keyring, run, sealedOnly: true };

/** The answer to a question, sealed for the question of this id. */
function answered(waitId: string, over: Partial<CalledWait> = {}): Called {
  const place = {
    workspace: "w",
    deployment: "d",
    field: "answer",
    origin: ORIGINS.wait("r", waitId),
  } as const;
  const answer = { sealed: keyring.seal(place, '{"ok":true}') };
  return { waitId, state: "satisfied", inMs: null, answer, answeredBy: "ada", run: null, ...over };
}

type Waited = Extract<FlowCall["call"], { kind: "wait" }>["wait"];

const QUESTION: Waited = { kind: "input", title: "Publish?", schema: {}, who: "operator" };
const JOB: Waited = { kind: "job", job: "train", pollEveryMs: 1000, cancels: false };
const open =
  (called: Called, callId: string, wait: Waited = QUESTION) =>
  () =>
    openCalled(opener, { called, callId, call: { kind: "wait", wait } });

/** The payload of an event, as its sender seals it. */
function sent(name: string, payload: Json): Json {
  const place = { workspace: "w", deployment: "", field: "event", origin: ORIGINS.event(name) } as const;
  return { sealed: keyring.seal(place, JSON.stringify(payload)) };
}

const AT = "2026-01-01T00:00:00.000Z";
const FACTS = { handle: null, intendedBy: "a", createdAt: AT, earlier: false };
const RUN = { runId: "r2", state: "completed", cause: null, result: null, error: null } as const;
const badSeal = expect.objectContaining({ code: "bad-seal" });

test("an answer is heard for the question that the flow asked, and for no other", () => {
  expect(open(answered("asked"), "asked")()).toMatchObject({ answer: { ok: true } });
  const swapped = expect.objectContaining({ code: "bad-seal", message: expect.stringContaining("moved") });
  expect(open(answered("another"), "asked")).toThrow(swapped);
  expect(open(answered("another", { waitId: "asked" }), "asked")).toThrow(swapped);
});

test("a job's outcome is heard, and a result that no worker reported is refused", () => {
  const outcome = (value?: number) =>
    answered("asked", {
      job: FACTS,
      answer: { outcome: "completed", result: null, ...(value !== undefined && { value }) },
    });
  expect(open(outcome(), "asked", JOB)()).toMatchObject({ answer: { outcome: "completed" } });
  expect(open(outcome(1), "asked", JOB)).toThrow(badSeal);
});

test("a plain answer to a question is refused, also with the fields of another kind of wait", () => {
  for (const over of [{}, { job: FACTS }, { run: RUN }])
    for (const answer of [{ ok: true }, true, {}, [], "", null])
      expect(open(answered("asked", { ...over, answer }), "asked")).toThrow(badSeal);
  const isOpen = { state: "open", answer: null } as const;
  expect(open(answered("asked", isOpen), "asked")()).toMatchObject(isOpen);
});

test("the payload of an event answers no question, and no wait for another event", () => {
  const landed = answered("asked", { answer: sent("landed", { ok: true }) });
  expect(open(landed, "asked", { kind: "event", name: "landed" })()).toMatchObject({ answer: { ok: true } });
  expect(open(landed, "asked")).toThrow(badSeal);
  expect(open(landed, "asked", { kind: "event", name: "left" })).toThrow(badSeal);
  expect(open(answered("asked"), "asked", { kind: "event", name: "landed" })).toThrow(badSeal);
});

test("ended waits of an earlier attempt have only answers that were sealed for their question", () => {
  const over = (waitId: string, answer: Json) =>
    ({ waitId, state: "satisfied", answer, answeredBy: null }) as const;
  const { answer } = answered("question") as CalledWait;
  const waits = [
    over("question", answer),
    over("timer", null),
    over("event", sent("landed", { ok: true })),
    over("plain", { ok: true }),
    over("empty", {}),
  ];
  const page = openCheckpoints(opener, { items: [], next: null, waits });
  // A timer's answer is null, and so is a forged one of a question.
  expect(page.waits).toEqual([over("question", { ok: true })]);
  const moved = () => openCheckpoints(opener, { items: [], next: null, waits: [over("other", answer)] });
  expect(moved).toThrow(badSeal);
});
