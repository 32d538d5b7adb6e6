import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { pino } from "pino";
import postgres from "postgres";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { sql } from "#sql";
import { type Replicated, startReplicated } from "../../../test/harness/index.ts";
import { unique } from "./deps.fixture.ts";
import { createKey, createWorkspace } from "./identity/index.ts";
import { parseConfig, type Scope, systemScope } from "./kernel/index.ts";
import { type RunningServer, startServer } from "./server.ts";

let servers: Replicated;
let stateDir: string;
let server: RunningServer;
let scope: Scope;
const said: string[] = [];
const log = pino(
  { level: "info" },
  new PassThrough().on("data", (line: Buffer) => said.push(String(line))),
);

const start = (env: Record<string, string>) =>
  startServer(
    parseConfig({
      DATABASE_URL: servers.primary.url,
      TOWPATH_STATE_DIR: stateDir,
      TOWPATH_PORT: "0",
      ...env,
    }),
    { log },
  );

beforeAll(async () => {
  servers = await startReplicated();
  stateDir = await mkdtemp(join(tmpdir(), "towpath-replica-"));
});
afterAll(async () => {
  await servers[Symbol.asyncDispose]();
  await rm(stateDir, { recursive: true, force: true });
});

const withStandby = () => start({ DATABASE_READ_URL: servers.standby.url });
beforeEach(async () => {
  said.length = 0;
  server = await withStandby();
  scope = systemScope(await createWorkspace(server.deps, { organization: unique("org"), workspace: "w" }));
});
afterEach(() => server.close());

/** Whether the standby serves a read now. */
async function isServedByStandby(): Promise<boolean> {
  const [row] = await server.deps.database.reads.execute<{ standby: boolean }>(
    sql`select pg_is_in_recovery() as standby`,
  );
  return row?.standby === true;
}

/** A person with a key of the workspace. @returns what sends their requests */
async function person() {
  const made = await createKey(server.deps, { scope, input: { kind: "api", name: "p", role: "admin" } });
  const headers = { authorization: `Bearer ${made.secret}`, "content-type": "application/json" };
  return async (path: string, body?: object): Promise<string> => {
    const sent = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
    const answer = await fetch(`${server.url}${path}`, { headers, ...sent });
    expect(answer.ok).toBe(true);
    return answer.text();
  };
}

/** Creates a key and checks at once that the list has it. */
async function writeAndRead(ask: Awaited<ReturnType<typeof person>>): Promise<void> {
  const name = unique("key");
  await ask("/api/keys", { kind: "api", name, role: "viewer" });
  expect(await ask("/api/keys?limit=100")).toContain(name);
}

test("people's reads use the standby, and see every earlier write", async () => {
  const client = await person();
  for (let n = 0; n < 30; n++) await writeAndRead(client);
  await expect.poll(isServedByStandby).toBe(true);
});

test("while the standby is behind, reads use the primary, and the log says so; afterwards they use the standby", async () => {
  const client = await person();
  await servers.holdStandby(true);
  await writeAndRead(client);
  expect(await isServedByStandby()).toBe(false);
  expect(said.join("")).toContain("people's reads use the primary");
  await servers.holdStandby(false);
  while (!(await isServedByStandby())) await writeAndRead(client);
  expect(said.join("")).toContain("use the read replica again");
});

/** A proxy between the control plane and the standby that can hold back every answer. */
async function startRelay(url: string) {
  const { hostname, port } = new URL(url);
  const pairs = new Set<{ client: Socket; there: Socket }>();
  const relay = createServer((client) => {
    const there = connect(Number(port), hostname);
    pairs.add({ client, there });
    for (const socket of [client, there]) socket.on("error", () => client.destroy());
    client.pipe(there);
    there.pipe(client);
  }).listen(0, "127.0.0.1");
  await once(relay, "listening");
  const through = new URL(url);
  through.host = `127.0.0.1:${(relay.address() as AddressInfo).port}`;
  return {
    url: through.href,
    silence: () => pairs.forEach(({ there, client }) => void there.unpipe(client)),
    speak: () => pairs.forEach(({ there, client }) => void there.pipe(client)),
    [Symbol.dispose]() {
      relay.close();
      for (const { client, there } of pairs) for (const socket of [client, there]) socket.destroy();
    },
  };
}

test("a silent standby stops no reads; once it answers again, it serves them", async () => {
  using relay = await startRelay(servers.standby.url);
  await server.close();
  server = await start({ DATABASE_READ_URL: relay.url });
  await expect.poll(isServedByStandby).toBe(true);
  relay.silence();
  const client = await person();
  for (let n = 0; n < 8; n++) await writeAndRead(client);
  expect(await isServedByStandby()).toBe(false);
  relay.speak();
  await expect.poll(isServedByStandby).toBe(true);
});

test("until the restore of the primary is recorded, the standby serves no reads", async () => {
  const { id } = await server.deps.incarnations.current();
  await expect.poll(isServedByStandby).toBe(true);
  const admin = postgres(servers.primary.url, { max: 2, onnotice: () => {} });
  const [row] = await admin<{ identity: string }[]>`select identity from incarnation where id = ${id}`;
  const setIdentity = (identity = "") =>
    admin`update incarnation set identity = ${identity} where id = ${id}`;
  await admin.begin(async (tx) => {
    // While this lock is held, no incarnation can be recorded.
    await tx`select pg_advisory_xact_lock(7206011)`;
    await setIdentity("another");
    expect(await isServedByStandby()).toBe(false);
    await setIdentity(row?.identity);
  });
  await admin.end();
  await expect.poll(isServedByStandby).toBe(true);
});

test("a server that is not a standby of this database is refused", async () => {
  await expect(start({ DATABASE_READ_URL: servers.primary.url })).rejects.toMatchObject({
    code: "read-url-is-no-standby",
    message: expect.stringContaining("is not a standby"),
  });
});

test("connections are summed and logged, and more than the server allows are refused", async () => {
  expect(said.join("")).toContain('"work":10,"reads":4,"wakeUps":3,"total":17');
  expect(said.join("")).toMatch(/"opens":17,"allowed":\d+,"inUse":\d+/);
  await expect(start({ TOWPATH_WORK_CONNECTIONS: "900" })).rejects.toMatchObject({
    code: "too-few-connections",
    message: expect.stringMatching(/up to 907 connections, but .* allows \d+/),
  });
  await (await start({ TOWPATH_WORK_CONNECTIONS: "80", TOWPATH_PORT: "0" })).close();
  expect(said.join("")).toContain("may run out");
});

test("reads continue when the standby dies, and a start without it succeeds", async () => {
  const client = await person();
  await writeAndRead(client);
  await servers.standby.stop();
  await writeAndRead(client);
  expect(await isServedByStandby()).toBe(false);
  await server.close();
  server = await withStandby();
  await writeAndRead(await person());
  expect(said.join("")).toContain("the standby at DATABASE_READ_URL cannot be reached");
});
