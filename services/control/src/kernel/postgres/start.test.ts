import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { identifyProcess, isAlive } from "@towpath/contract/process";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findBinaries } from "./binaries.ts";
import { type EmbeddedPostgres, type EmbeddedPostgresOptions, startEmbeddedPostgres } from "./start.ts";

const isRoot = process.getuid?.() === 0;
let scratch = "";
const started = new Set<EmbeddedPostgres>();

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "towpath-launcher-"));
  await chmod(scratch, 0o755);
});

afterAll(async () => {
  for (const server of started) await server.stop();
  await rm(scratch, { recursive: true, force: true });
});

async function start(name: string, more: Partial<EmbeddedPostgresOptions> = {}): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ dir: join(scratch, name), log: () => undefined, ...more });
  started.add(server);
  return server;
}

async function query<T>(url: string, work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, { max: 1, connect_timeout: 10, onnotice: () => undefined });
  try {
    return await work(sql);
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/** Starts the database from a separate process, which a test may kill. */
async function startInChild(name: string) {
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, "parent.fixture.ts"), join(scratch, name)],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  const [line] = await once(createInterface({ input: child.stdout }), "line");
  const { url, pid }: { url: string; pid: number } = JSON.parse(line);
  const kill = async () => {
    child.kill("SIGKILL");
    await once(child, "exit");
  };
  return { url, pid, parentPid: child.pid, kill };
}

describe("a database directory", () => {
  test("keeps its data, password and port from one start to the next", async () => {
    const first = await start("kept");
    await query(first.url, async (sql) => {
      await sql`create table cargo (id uuid default uuidv7())`;
      await sql`insert into cargo default values`;
    });
    await first.stop();
    const second = await start("kept");
    expect(second.url).toBe(first.url);
    expect(await query(second.url, (sql) => sql`select count(*)::int as n from cargo`)).toEqual([{ n: 1 }]);
    await second.stop();
  });

  test("is a UTF-8 cluster of Postgres 18 with scram passwords, listening on loopback alone", async () => {
    const server = await start("settings");
    const rows = await query(server.url, async (sql) => [
      (await sql`show server_version_num`)[0]?.server_version_num.slice(0, 2),
      (
        await sql`select datlocale || ' ' || pg_encoding_to_char(encoding) as it from pg_database where datname = 'postgres'`
      )[0]?.it,
      (await sql`select distinct auth_method as it from pg_hba_file_rules`).map((row) => row.it).join(),
      (await sql`show listen_addresses`)[0]?.listen_addresses,
    ]);
    expect(rows).toEqual(["18", "C.UTF-8 UTF8", "scram-sha-256", "127.0.0.1"]);
    const refused = new URL(server.url);
    refused.password = "wrong";
    await expect(query(refused.href, (sql) => sql`select 1`)).rejects.toMatchObject({ code: "28P01" });
    await server.stop();
  });

  test("keeps its password where only its owner can read it", async () => {
    const server = await start("private");
    const path = join(scratch, "private", "password");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(server.url).toContain((await readFile(path, "utf8")).trim());
    expect((await stat(server.dataDir)).mode & 0o777).toBe(0o700);
    await server.stop();
  });

  test("moves to another port when its own is in use", async () => {
    const first = await start("moved-port");
    await first.stop();
    const squatter = createServer().listen(first.port, "127.0.0.1");
    await once(squatter, "listening");
    const second = await start("moved-port");
    expect(second.port).not.toBe(first.port);
    await second.stop();
    squatter.close();
  });

  test("refuses a requested port that is in use, with a sentence", async () => {
    const squatter = createServer().listen(0, "127.0.0.1");
    await once(squatter, "listening");
    const address = squatter.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    await expect(start("taken-port", { port })).rejects.toMatchObject({
      code: "port-taken",
      message: expect.stringContaining(`Port ${port} on 127.0.0.1 is in use`),
    });
    squatter.close();
  });

  test("that is a file, not a directory, is refused with a sentence", async () => {
    await writeFile(join(scratch, "a-file"), "");
    await expect(start("a-file/below")).rejects.toMatchObject({
      code: "directory-not-writable",
      message: expect.stringContaining("cannot write to"),
    });
  });

  test("whose initialisation was interrupted is initialised again", async () => {
    await mkdir(join(scratch, "cut-off", "data.partial"), { recursive: true });
    await writeFile(join(scratch, "cut-off", "data.partial", "PG_VERSION"), "18\n");
    const server = await start("cut-off");
    expect(await query(server.url, (sql) => sql`select 1 as one`)).toEqual([{ one: 1 }]);
    await server.stop();
  });
});

describe("a server whose parent was killed", () => {
  test("is stopped and restarted by the next start, with every acknowledged row", async () => {
    const earlier = await startInChild("orphan");
    await query(earlier.url, (sql) => sql`create table cargo as select generate_series(1, 1000) as id`);
    const orphan = await identifyProcess(earlier.pid);
    await earlier.kill();
    expect(orphan && (await isAlive(orphan))).toBe(true);
    const next = await start("orphan");
    expect(next.pid).not.toBe(earlier.pid);
    expect(orphan && (await isAlive(orphan))).toBe(false);
    expect(await query(next.url, (sql) => sql`select count(*)::int as n from cargo`)).toEqual([{ n: 1000 }]);
    await next.stop();
  });

  test("and which was killed itself recovers every acknowledged row", async () => {
    const earlier = await startInChild("both-killed");
    await query(earlier.url, async (sql) => {
      await sql`create table cargo (id int)`;
      for (let id = 1; id <= 200; id += 1) await sql`insert into cargo values (${id})`;
    });
    await earlier.kill();
    process.kill(earlier.pid, "SIGKILL");
    const next = await start("both-killed");
    expect(await query(next.url, (sql) => sql`select count(*)::int as n from cargo`)).toEqual([{ n: 200 }]);
    await next.stop();
  });

  test("is left alone while its parent lives", async () => {
    const earlier = await startInChild("shared");
    await expect(start("shared")).rejects.toMatchObject({
      code: "directory-in-use",
      message: expect.stringContaining(`Process ${earlier.parentPid} is already using`),
    });
    expect(await query(earlier.url, (sql) => sql`select 1 as one`)).toEqual([{ one: 1 }]);
    await earlier.kill();
    await (await start("shared")).stop();
  });

  test("is not confused with an unrelated process that has its pid", async () => {
    const first = await start("recycled");
    await first.stop();
    const account = isRoot ? { uid: 65_534, gid: 65_534 } : {};
    const bystander = spawn("/bin/sleep", ["300"], account);
    const lines = [bystander.pid, first.dataDir, "1", String(first.port), "", "127.0.0.1", "", "ready", ""];
    await writeFile(join(first.dataDir, "postmaster.pid"), lines.join("\n"));
    const second = await start("recycled");
    expect(bystander.exitCode).toBeNull();
    expect(bystander.signalCode).toBeNull();
    await second.stop();
    bystander.kill("SIGKILL");
  });
});

test("an unexpected end of the server is reported, and a stop is not", async () => {
  const told: unknown[] = [];
  const ended = Promise.withResolvers<void>();
  const onExit = (exit: unknown) => {
    told.push(exit);
    ended.resolve();
  };
  const stopped = await start("ends", { onExit });
  await stopped.stop();
  expect(told).toEqual([]);
  const killed = await start("ends", { onExit });
  process.kill(killed.pid, "SIGKILL");
  await ended.promise;
  expect(told).toEqual([{ code: null, signal: "SIGKILL" }]);
  await killed.stop();
  await (await start("ends")).stop();
});

test("the log does not contain the values in failing statements", async () => {
  const lines: string[] = [];
  const server = await start("quiet", { log: (line) => lines.push(line) });
  await query(server.url, async (sql) => {
    await sql`create table cargo (id text primary key)`;
    await sql`insert into cargo values ('gold-4711')`;
    await expect(sql`insert into cargo values ('gold-4711')`).rejects.toMatchObject({ code: "23505" });
    await expect(sql.unsafe("select 'gold-4711'::int")).rejects.toMatchObject({ code: "22P02" });
  });
  await server.stop();
  expect(lines.join("\n")).toContain("ready to accept connections");
  expect(lines.join("\n")).not.toContain("gold-4711");
});

test("a platform without published binaries is refused with a sentence", async () => {
  await expect(findBinaries("win32-x64")).rejects.toMatchObject({
    code: "unsupported-platform",
    message: expect.stringContaining("Set DATABASE_URL to a Postgres 15 or later"),
  });
});

describe.runIf(isRoot)("started by root", () => {
  test("the server runs as an unprivileged user", async () => {
    const server = await start("as-root");
    expect((await stat(`/proc/${server.pid}`)).uid).toBe(65_534);
    await server.stop();
  });

  test("a directory that is closed to other users is reached by a namespace or by moving the data", async () => {
    await mkdir(join(scratch, "closed"), { mode: 0o700 });
    for (const allowNamespace of [true, false]) {
      const name = `closed/${allowNamespace}`;
      const first = await start(name, { allowNamespace });
      await query(first.url, (sql) => sql`create table cargo (id int)`);
      await first.stop();
      const second = await start(name, { allowNamespace });
      expect(second.dataDir).toBe(first.dataDir);
      expect(await query(second.url, (sql) => sql`select * from cargo`)).toEqual([]);
      await second.stop();
      if (!second.dataDir.startsWith(scratch)) await rm(join(second.dataDir, ".."), { recursive: true });
    }
  });
});
