import { AsyncLocalStorage } from "node:async_hooks";
import { readFileSync } from "node:fs";
import { Checkpoint } from "@towpath/contract";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { EarlierResults } from "../../sdk/flow/src/checkpoint/earlier.ts";
import { Failures } from "../../sdk/flow/src/engine/failures.ts";
import { TaskIdentityUnknown } from "../../sdk/flow/src/problem.ts";
import { PLAIN_HASHES } from "../../sdk/flow/src/store/hashes.ts";
import { fromTypedJson } from "../../sdk/flow/src/store/typed-json.ts";
import { CALL_KINDS, type CallKey, type CallKind, CallLedger } from "../../sdk/flow/src/task/identity.ts";
import { hashInput } from "../../sdk/flow/src/task/input-hash.ts";
import { engineVectorFiles, engineVectors } from "./vector.ts";

const hashes = engineVectors("input-hash", {
  cases: z.array(
    z.strictObject({
      name: z.string(),
      arguments: z.string(),
      bytes: z.string().optional(),
      hash: z.string(),
    }),
  ),
});

describe("the hash of arguments", () => {
  test.each(hashes.cases)("$name", ({ arguments: text, bytes, hash }) => {
    const behind = bytes === undefined ? [] : [new Uint8Array(1), Buffer.from(bytes, "hex")];
    const args = z.array(z.unknown()).parse(fromTypedJson(Buffer.concat([Buffer.from(text), ...behind])));
    expect(hashInput({ what: "t", hashes: PLAIN_HASHES }, args)).toBe(hash);
  });

  test("is equal for two cases only where the vectors say so", () => {
    const own = hashes.cases.filter(({ name }) => !/the same hash|as if absent/.test(name));
    expect(new Set(own.map(({ hash }) => hash)).size).toBe(own.length);
  });
});

const KindName = z.enum(Object.keys(CALL_KINDS) as [CallKind, ...CallKind[]]);
const Step = z.union([
  z.strictObject({ branch: z.string(), from: z.string() }),
  z.strictObject({ end: z.string() }),
  z.strictObject({
    branch: z.string(),
    call: z.strictObject({
      kind: KindName,
      name: z.string(),
      key: z.string().optional(),
      hash: z.string().optional(),
    }),
    path: z.string().optional(),
    refused: z.literal(true).optional(),
  }),
]);
const identities = engineVectors("call-identity", {
  cases: z.array(z.strictObject({ name: z.string(), steps: z.array(Step) })),
});

function keyOf({ key, hash }: { key?: string | undefined; hash?: string | undefined }): CallKey {
  if (key !== undefined) return { kind: "given", key };
  return hash === undefined ? { kind: "none" } : { kind: "hash", hash };
}

describe("the identity of calls", () => {
  test.each(identities.cases)("$name", ({ steps }) => {
    const ledger = new CallLedger("");
    const open = new Map<string, () => void>();
    const branches = new Map([["main", AsyncLocalStorage.snapshot()]]);
    const inBranch = (name: string, work: () => void) =>
      branches.get(name)?.(() => {
        work();
        branches.set(name, AsyncLocalStorage.snapshot());
      });
    for (const step of steps) {
      if ("end" in step) open.get(step.end)?.();
      else if ("from" in step)
        inBranch(step.from, () => branches.set(step.branch, AsyncLocalStorage.snapshot()));
      else
        inBranch(step.branch, () => {
          const { name, kind } = step.call;
          const made = () => ledger.name(name, keyOf(step.call), kind);
          if (step.refused) return expect(made).toThrow(TaskIdentityUnknown);
          const { path, settled } = made();
          expect(path).toBe(step.path);
          open.set(path, settled);
        });
    }
    expect.hasAssertions();
  });
});

const failures = engineVectors("caught-failures", {
  failedBy: z.array(
    z.strictObject({
      name: z.string(),
      errors: z.record(
        z.string(),
        z.strictObject({ cause: z.string().optional(), errors: z.array(z.string()).optional() }),
      ),
      failed: z.array(z.tuple([z.string(), z.string()])),
      thrown: z.string(),
      failedBy: z.array(z.string()),
    }),
  ),
  untold: z.array(
    z.strictObject({
      name: z.string(),
      thrownAgain: z.array(z.string()),
      failedBy: z.array(z.string()).nullable(),
      tells: z.array(z.string()),
    }),
  ),
  calls: z.array(
    z.strictObject({
      name: z.string(),
      items: z.array(Checkpoint),
      call: z.strictObject({ path: z.string(), codeVersion: z.string() }),
      does: z.enum(["runs", "completes", "fails"]),
    }),
  ),
});

describe("which call made a run fail", () => {
  test.each(failures.failedBy)("$name", ({ errors, failed, thrown, failedBy }) => {
    const made = new Map(
      Object.entries(errors).map(([name, { errors: parts }]) => [
        name,
        parts ? new AggregateError([]) : new Error(name),
      ]),
    );
    for (const [name, { cause, errors: parts }] of Object.entries(errors)) {
      const error = made.get(name);
      if (error !== undefined && cause !== undefined) error.cause = made.get(cause);
      if (error instanceof AggregateError) error.errors = (parts ?? []).map((part) => made.get(part));
    }
    const noted = new Failures();
    for (const [path, name] of failed) noted.note(path, made.get(name));
    expect(noted.pathsOf(made.get(thrown))).toEqual(failedBy);
  });
});

describe("failures that were rethrown and are reported before the outcome", () => {
  test.each(failures.untold)("$name", ({ thrownAgain, failedBy, tells }) => {
    const noted = new Failures();
    const end = {
      type: "task",
      at: "2026-03-01T12:00:00.000Z",
      name: "any",
      move: "fail",
      tries: 0,
    } as const;
    for (const path of thrownAgain) noted.noteUnrecorded({ ...end, path });
    expect(noted.unrecorded(failedBy).map(({ path }) => path)).toEqual(tells);
  });
});

describe("a call in a later attempt", () => {
  test.each(failures.calls)("$name", async ({ items, call, does }) => {
    const earlier = await EarlierResults.fetch(async () => ({ items, next: null }));
    const left = [earlier.takeFailure(call.path), earlier.takeResult(call.path)];
    const [failure, result] = left.map((one) => (one?.codeVersion === call.codeVersion ? one : null));
    expect(failure ? "fails" : result ? "completes" : "runs").toBe(does);
  });
});

test("every file of vectors is run", () => {
  const ts = ["engine.test.ts", "hashes.test.ts", "pure-parts.test.ts"].map((name) =>
    readFileSync(new URL(name, import.meta.url), "utf8"),
  );
  const found = [...ts.join("").matchAll(/engineVectors\("([a-z-]+)"/g)].map(([, name]) => name);
  expect(found.sort()).toEqual(engineVectorFiles());
});
