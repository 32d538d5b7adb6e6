import {
  BulkRecord,
  Call,
  ControlRecord,
  FlowCall,
  FlowRecord,
  JobChange,
  ROUTES,
  type Spec,
} from "@towpath/contract";
import { describe, expect, test } from "vitest";
import type { z } from "zod";
import type { AttemptDeps } from "../attempts/deps.ts";
import { flowHost, type Running } from "../attempts/flow-host.ts";
import { RefSigner } from "../store/sign-refs.ts";
import { textFieldsOf } from "../testing/text-fields.fixture.ts";
import { createRedactor, redactBulk, redactControl, redactJobChange, redactPath } from "./index.ts";

const SECRET = "hunter2-hunter2";
/** Texts with a secret in each. A field gets the first that its schema accepts. */
const PLANTS = [
  [SECRET, SECRET],
  [`https://${SECRET}.example/`, SECRET],
  ["7d3f0c62-5a0e-4c1b-9f52-b1c0ffee2042", "7d3f0c62-5a0e-4c1b-9f52-b1c0ffee2042"],
  ["2031-07-19T05:23:11.337Z", "2031-07-19T05:23:11.337Z"],
  ["c0ffee42".repeat(8), "c0ffee42".repeat(8)],
  ["c0ffee42c0ffee42", "c0ffee42c0ffee42"],
  // The form of a sealed value.
  [`e30..${"A".repeat(16)}.${SECRET}.${"A".repeat(22)}`, SECRET],
] as const;

interface Planted {
  readonly path: string;
  readonly value: unknown;
  readonly secret: string;
}

/** The values of a schema, each with a secret in one field. */
function planted(schema: z.ZodType): Planted[] {
  return textFieldsOf(schema).map(({ path, put }) => {
    const fitting = PLANTS.find(([text]) => schema.safeParse(put(text)).success);
    if (fitting === undefined) throw new TypeError(`No planted text fits ${path}: add one.`);
    return { path, value: put(fitting[0]), secret: fitting[1] };
  });
}

/** The fields by name, each once. */
function named(schema: z.ZodType): string[] {
  return [...new Set(textFieldsOf(schema).map(({ path }) => path))].sort();
}

/** A running attempt with only its flow's side, what leaves of it, and the answers. */
function attempt(secret: string, answer: object = { runId: "", result: null }) {
  const left: unknown[] = [];
  const redactor = createRedactor(new Map([["planted", secret]]));
  const claimed = {
    stored: { outcome: null, cleanedUp: false },
    fence: {},
    board: { waitFor: async () => ({ revision: 1, cancel: null, answers: ["wait:event:[secret:planted]"] }) },
    update: async ({ outcome }: { outcome: unknown }) => void left.push(outcome),
  };
  const spool = { flowTaken: 0, flow: async (batch: unknown) => void left.push(batch) };
  const spec: Pick<Spec, "mayStart"> & { remoteTasks: object } = {
    mayStart: ["plain"],
    remoteTasks: { plain: { pools: ["plain"] } },
  };
  const assignment = { runId: "01900000-0000-7000-8000-000000000001", trigger: { kind: "user" } };
  const stored = { assignment, spec };
  const prepared = {
    redactor,
    refs: new RefSigner([], { workspaceId: "w" }),
    spec: { deployment: "plain", stage: null },
    workspaceId: "w",
    sealedOnly: false,
  };
  const running = { claimed, stored, spool, prepared };
  const connection = {
    call: async (_: string, body: unknown) => {
      left.push(body);
      return { answer };
    },
  };
  const clocks = { bootClock: { nowMs: () => 0 }, sleep: () => new Promise(() => {}) };
  const deps = { wake: { report: () => {}, tend: () => {} }, connection, keyring: null, ...clocks };
  return { host: flowHost(deps as unknown as AttemptDeps, running as unknown as Running), left };
}

/** Fields of changes of an external job that the control plane chose. */
const FENCE = ["jobId", "lease"];

const cases = (schema: z.ZodType) => planted(schema).map((one) => [one.path, one] as const);

describe("no secret leaves", () => {
  test.each(cases(FlowCall))("in a call of a flow: %s", async (_, { value, secret }) => {
    const { host, left } = attempt(secret);
    await host.call(FlowCall.parse(value), never).catch(() => {});
    expect(JSON.stringify(left)).not.toContain(secret);
  });

  test.each(cases(FlowRecord))("in a record of a flow: %s", async (_, { value, secret }) => {
    const { host, left } = attempt(secret);
    await host.records([JSON.stringify(value)]);
    expect(JSON.stringify(left)).not.toContain(secret);
  });

  // The flow's own records were checked one by one above. This checks what the worker makes of them.
  const free = (schema: z.ZodType) => cases(schema).filter(([, { secret }]) => secret === SECRET);
  test.each(free(ControlRecord))("in a control record: %s", (_, { value, secret }) => {
    const redactor = createRedactor(new Map([["planted", secret]]));
    const record = redactControl(redactor, ControlRecord.parse(value));
    expect(JSON.stringify(record)).not.toContain(secret);
  });

  test.each(free(BulkRecord))("in a bulk record: %s", (_, { value, secret }) => {
    const redactor = createRedactor(new Map([["planted", secret]]));
    expect(JSON.stringify(redactBulk(redactor, BulkRecord.parse(value)))).not.toContain(secret);
  });

  const changes = free(JobChange).filter(([path]) => !FENCE.includes(path));
  test.each(changes)("in a change of an external job: %s", (_, { value, secret }) => {
    const redactor = createRedactor(new Map([["planted", secret]]));
    expect(JSON.stringify(redactJobChange(redactor, JobChange.parse(value)))).not.toContain(secret);
  });
});

/** Texts of the worker protocol that no flow chooses. */
const OWN: Readonly<Record<string, readonly string[]>> = {
  // Texts of the worker's configuration, which its owner writes, like the secrets.
  openSession: [
    "workerId",
    "name",
    "pool",
    "amounts{key}",
    "stores{key}",
    "stores{}.id",
    "stores{}.place",
    "secrets[]",
    "registries[]",
    "workspaceKeys[]",
    "version",
    "process",
  ],
  // The reason is a sentence of the worker: no user code has run.
  claim: ["amounts{key}", "held[].attemptId", "held[].nonce", "reconciled", "paused.reason"],
  renew: ["held[].attemptId", "held[].nonce"],
  // The control plane chose the cursor and the fence.
  listCheckpoints: ["attemptId", "nonce", "after"],
  call: ["attemptId", "nonce", "callId"],
  report: [
    "attempts[].attemptId",
    "attempts[].nonce",
    "attempts[].sentAt",
    "next.amounts{key}",
    "next.held[].attemptId",
    "next.held[].nonce",
    "next.reconciled",
    "next.paused.reason",
  ],
  tendJobs: ["held[].jobId", "held[].lease"],
  // The id of a read, as it came, and ciphertext of a body that was redacted before it was sealed.
  answerRead: ["id", "sealed"],
};

/** Texts that are checked above, by the schemas that have them. */
const COVERED: Readonly<Record<string, readonly string[]>> = {
  call: named(FlowCall).map((path) => (path === "path" ? "call.path" : path)),
  tendJobs: named(JobChange).map((path) => `${"news"}[].${path}`),
};

const workerVerbs = Object.entries(ROUTES).filter(
  ([, route]) => route.permission === "worker" || route.permission === "worker-key",
);

test.each(workerVerbs)("every text that a worker sends is accounted for: %s", (verb, route) => {
  const body = (route as { body?: z.ZodType }).body;
  expect(body).toBeDefined();
  if (body === undefined) return;
  const known = [...(OWN[verb] ?? []), ...(COVERED[verb] ?? [])];
  expect(named(body).filter((path) => !known.includes(path))).toEqual([]);
});

test("a call that leaves has only fields of the flow's call", () => {
  expect(named(Call.shape.call).filter((path) => !named(FlowCall.shape.call).includes(path))).toEqual([
    "path",
  ]);
});

const never = new AbortController().signal;

describe("a field with a secret is always redacted to the same text", () => {
  const path = `load:${SECRET}`;

  test("slots are granted under the key that the flow asked for", async () => {
    const redacted = ["load:[secret:planted]"];
    const { host, left } = attempt(SECRET, {
      runId: "",
      result: null,
      granted: redacted,
      withoutSlots: redacted,
    });
    const requests = [path, "other"].map((key) => ({
      key,
      limits: [{ name: "api", slots: 1 }],
      inside: path,
    }));
    const call = { kind: "take-slots", requests, waitMs: 0 } as const;
    expect(await host.call({ path: "slots", call }, never)).toMatchObject({
      granted: [path],
      withoutSlots: [path],
    });
    await host.call({ path: "slots", call: { kind: "give-back", keys: [path] } }, never);
    expect(left).toMatchObject([
      { call: { requests: [{ key: redacted[0], inside: redacted[0] }, { key: "other" }] } },
      { call: { keys: ["load:[secret:planted]"] } },
    ]);
  });

  test("a later attempt finds its checkpoints, and a flow gets its answers", async () => {
    const items = ["planted", "other"].map((name) => ({ path: `load:[secret:${name}]`, result: null }));
    const { host } = attempt(SECRET, { items, next: null });
    expect(await host.checkpoints(null, never)).toMatchObject({
      items: [{ path }, { path: "load:[secret:other]" }],
    });
    expect(await host.commands({ revision: 0, waitMs: 0, signal: never })).toMatchObject({
      answers: [`wait:event:${SECRET}`],
    });
  });

  test("two different paths that are cut stay different", () => {
    const redactor = createRedactor(new Map([["a-name-that-is-longer-than-its-secret", "a*b+"]]));
    const paths = ["x", "y"].map((end) => redactPath(redactor, `${"a*b+".repeat(250)}${end}`));
    expect(new Set(paths).size).toBe(2);
    for (const one of paths) expect(one.length).toBeLessThanOrEqual(1024);
  });
});

test.each([
  [{ deep: [{ url: `https://x:${SECRET}@host` }] }, "parameters.deep[0].url"],
  [{ [SECRET]: 1 }, "parameters.[secret:planted]"],
])(
  "parameters with a secret start no run, and the refusal names the field: %j",
  async (parameters, field) => {
    const { host, left } = attempt(SECRET);
    const call = { kind: "start-run", deployment: "plain", parameters, onParentEnd: "cancel" } as const;
    const refusal = host.call({ path: "run", call }, never);
    await expect(refusal).rejects.toMatchObject({
      code: "secret-in-call",
      detail: expect.stringContaining('secret("planted")'),
      faults: [{ path: field }],
    });
    await expect(refusal).rejects.not.toThrow(SECRET);
    expect(left).toEqual([]);
  },
);

test("a number that spells a secret starts no run", async () => {
  const { host, left } = attempt("20260101");
  const call = {
    kind: "start-run",
    deployment: "plain",
    parameters: { day: 20260101 },
    onParentEnd: "cancel",
  } as const;
  await expect(host.call({ path: "run", call }, never)).rejects.toThrow("parameters.day");
  expect(left).toEqual([]);
});

test("a short secret in an id or a hash by chance is no reason to refuse", async () => {
  const { host, left } = attempt("c0ff");
  const runId = "01900000-c0ff-7000-8000-000000000001";
  await host.call({ path: "wait", call: { kind: "wait", wait: { kind: "run", runId } } }, never);
  expect(left).toMatchObject([{ call: { wait: { runId } } }]);
});
