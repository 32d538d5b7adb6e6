import {
  AnswerWait,
  AskedWait,
  asSealedJson,
  BulkRecord,
  ControlRecord,
  CreateRun,
  KEY_PURPOSES,
  LIMITS,
  newWorkspaceKey,
  openKeyring,
  sealedBytes,
  uuidv7,
} from "@towpath/contract";
import { expect, test } from "vitest";
import { WorkerKeyring } from "./keyring.ts";
import { sealCall, sealOf } from "./outgoing.ts";

const ID = uuidv7(Date.UTC(2026, 0, 1));
const AT = "2026-01-01T00:00:00.000Z";
/** A name of the longest form, in which every place takes the most characters. */
const run = { workspace: ID, deployment: `${"d".repeat(63)}@${"s".repeat(63)}`, runId: ID };
const KEY = newWorkspaceKey();
const keyring = new WorkerKeyring([KEY]);
const seal = sealOf(keyring, run);
/** Three bytes of UTF-8 in one character: the most. */
const long = (chars: number) => "東".repeat(chars);

test("errors, names and titles of the greatest length still fit when they are sealed", () => {
  const error = { name: "E", message: long(LIMITS.messageChars), stack: long(LIMITS.errorStackChars) };
  const ended = {
    type: "ended",
    at: AT,
    outcome: "failed",
    cause: "error",
    error,
    exitCode: 1,
    lastBulkSeq: 0,
  } as const;
  expect(ControlRecord.parse({ seq: 1, ...seal.control(ended) })).not.toMatchObject({ error });
  const named = { type: "run-name", at: AT, name: long(200) } as const;
  expect(ControlRecord.safeParse({ seq: 1, ...seal.control(named) }).error).toBeUndefined();
  const wait = { kind: "input", title: long(200), schema: { type: "boolean" }, who: "operator" } as const;
  const asked = sealCall(keyring, run, {
    callId: ID,
    call: { kind: "wait", path: "wait:input:a", wait },
    codes: true,
  });
  expect(asked.kind === "wait" && AskedWait.safeParse(asked.wait).error).toBeUndefined();
});

test("the key of an event leaves as the code that its senders make, once the workspace is sealed", async () => {
  const wait = { kind: "event", name: "landed", key: "flight 7" } as const;
  const keyOf = (codes: boolean) => {
    const asked = sealCall(keyring, run, {
      callId: ID,
      call: { kind: "wait", path: "wait:event:a", wait },
      codes,
    });
    return asked.kind === "wait" && asked.wait.kind === "event" ? asked.wait.key : null;
  };
  const sender = await openKeyring([newWorkspaceKey(), KEY]);
  expect(keyOf(true)).toBe(await sender.keyCode(KEY_PURPOSES.event(run.workspace, "landed"), "flight 7"));
  expect(keyOf(true)).not.toBe(await sender.keyCode(KEY_PURPOSES.event(run.workspace, "left"), "flight 7"));
  expect(keyOf(false)).toBe("flight 7");
});

test("a log line and an artifact of the greatest length still fit when they are sealed", () => {
  const line = { at: AT, level: "info", stream: "log", text: "x".repeat(LIMITS.logLineBytes) } as const;
  const log = { type: "log", firstLine: 1, lines: [seal.line(line)] } as const;
  expect(BulkRecord.safeParse({ seq: 1, ...log }).error).toBeUndefined();
  const text = "x".repeat(LIMITS.artifactBytes - JSON.stringify({ kind: "markdown", text: "" }).length);
  const body = { kind: "markdown", text } as const;
  const shown = { type: "artifact", at: AT, key: "k", title: long(200), task: null, body } as const;
  const sealed = BulkRecord.parse({ seq: 1, ...seal.bulk(shown) });
  expect(sealed.type === "artifact" && sealed.body.kind).toBe("sealed");
  const bytes = sealed.type === "artifact" ? JSON.stringify(sealed.body).length : Number.POSITIVE_INFINITY;
  expect(bytes).toBeLessThanOrEqual(sealedBytes(LIMITS.artifactBytes));
});

test("parameters and an answer of the greatest length still fit when they are sealed", () => {
  const { workspace, deployment } = run;
  const sealed = (field: "parameters" | "answer", bytes: number) => {
    const place = { workspace, deployment, field, origin: `run/${ID}/${ID}` };
    const empty = JSON.stringify({ text: "" }).length;
    return asSealedJson(keyring.seal(place, JSON.stringify({ text: "x".repeat(bytes - empty) })));
  };
  const answer = { answer: sealed("answer", LIMITS.answerBytes) };
  expect(AnswerWait.safeParse(answer).error).toBeUndefined();
  const parameters = sealed("parameters", LIMITS.parametersBytes);
  expect(CreateRun.safeParse({ id: ID, deployment: "d", parameters }).error).toBeUndefined();
  expect(JSON.stringify(parameters).length).toBeLessThanOrEqual(sealedBytes(LIMITS.parametersBytes));
});
