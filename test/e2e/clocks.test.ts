import { mkdtemp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Client, createClient } from "@towpath/client";
import { uuidv7, WORKER_PROTOCOLS } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Beside, type Stack, startStack } from "../harness/index.ts";
import { deployHeld, letGo } from "./fixture.ts";

const HOUR_MS = 3_600_000;

/** How far two answers to "what time is it?" may differ: the time that the requests take on a busy machine. */
const NEAR_MS = 30_000;

/** Loaded before the program: sets the host's clock forward, as JavaScript sees it. */
const AHEAD = `
const Real = Date;
globalThis.Date = class extends Real {
  constructor(...given) { super(...(given.length === 0 ? [Real.now() + ${HOUR_MS}] : given)); }
  static now() { return Real.now() + ${HOUR_MS}; }
};`;

let stack: Stack;
let ahead: Beside;

beforeAll(async () => {
  stack = await startStack();
  const module = join(stack.folder, "ahead.mjs");
  await writeFile(module, AHEAD);
  ahead = await stack.startBeside("ahead", { env: { NODE_OPTIONS: `--import=${pathToFileURL(module)}` } });
  await deployHeld(stack);
});
afterAll(() => stack?.[Symbol.asyncDispose]());

const places = () => [stack, ahead] as const;
const both = () => [places(), [ahead, stack] as const];

test("two control planes agree on the time although one host's clock is an hour ahead", async () => {
  // Its own log lines carry the host's time, which proves that the clock is ahead.
  const [, printed] = ahead.process.output().match(/"time":(\d+)/) ?? [];
  expect(Math.abs(Number(printed) - Date.now() - HOUR_MS)).toBeLessThan(NEAR_MS * 4);
  for (const { client } of places()) {
    const { server } = await client.getMe({});
    expect(Math.abs(Date.parse(server.now) - Date.now())).toBeLessThan(NEAR_MS);
  }
});

async function openSession(at: Client): Promise<string> {
  const { secret } = await stack.client.createKey({ body: { kind: "worker", name: "clock", pool: "local" } });
  const url = at === stack.client ? stack.url : ahead.url;
  const session = await createClient({ url, token: secret }).openSession({
    body: {
      workerId: uuidv7(Date.now()),
      process: uuidv7(Date.now()),
      name: "clock",
      version: "test",
      pool: "local",
      poolType: "process",
      capacity: 1,
      protocols: [...WORKER_PROTOCOLS],
    },
  });
  return session.token;
}

test("a worker's session from one is valid at the other, with the same expiry", async () => {
  for (const [opens, uses] of both()) {
    const token = await openSession(opens.client);
    await createClient({ url: uses.url, token }).renew({ body: { held: [] } }, { retries: 0 });
    const [, claims = ""] = token.split(".");
    const { exp } = JSON.parse(Buffer.from(claims, "base64url").toString()) as { exp: number };
    expect(Math.abs(exp * 1_000 - Date.now() - 600_000)).toBeLessThan(NEAR_MS);
  }
});

test("a sign-in link from one works at the other, and so does the browser's session", async () => {
  for (const [makes, redeems] of both()) {
    const link = new URL((await makes.client.createSignInLink({})).url);
    const body = new URLSearchParams({ token: link.searchParams.get("token") ?? "", to: "/" });
    const headers = { origin: redeems.url, "content-type": "application/x-www-form-urlencoded" };
    const signedIn = await fetch(`${redeems.url}/sign-in`, {
      method: "POST",
      body,
      headers,
      redirect: "manual",
    });
    const cookie = signedIn.headers.getSetCookie()[0]?.split(";")[0] ?? "";
    for (const { url } of places())
      expect((await fetch(`${url}/api/me`, { headers: { cookie } })).status).toBe(200);
  }
});

test("the ids that both give have the database's time, so lists are in order of creation", async () => {
  for (const { client } of places()) {
    const { key } = await client.createKey({ body: { kind: "api", name: "dated", role: "viewer" } });
    // The first 48 bits of a UUIDv7 are its time (RFC 9562).
    expect(Math.abs(Number.parseInt(key.id.replace("-", "").slice(0, 12), 16) - Date.now())).toBeLessThan(
      NEAR_MS,
    );
  }
});

test("a run that one creates is claimed once at the other, and its lease does not expire at either", async () => {
  await using worker = await stack.startWorker({ name: "ahead-only", settings: { url: ahead.url } });
  const folder = await mkdtemp(join(stack.folder, "work-"));
  await letGo(folder);
  const run = await stack.waitForRun(await stack.run("held", { folder }));
  expect(run).toMatchObject({ state: "completed", attempts: 1 });
  const detail = await ahead.client.getRun({ params: { runId: run.id } });
  for (const at of [detail.createdAt, detail.startedAt, detail.endedAt])
    expect(Math.abs(Date.parse(at ?? "") - Date.now())).toBeLessThan(NEAR_MS * 4);
  worker.kill("SIGTERM");
  await worker.exited;
});
