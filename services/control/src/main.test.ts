import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../test/harness/index.ts";

const MAIN = join(import.meta.dirname, "main.ts");

let database: TestDatabase;
let folder: string;
const children: ChildProcess[] = [];
beforeAll(async () => {
  database = await createTestDatabase();
  folder = await mkdtemp(join(tmpdir(), "towpath-main-"));
});
afterAll(async () => {
  for (const child of children) if (child.exitCode === null) child.kill("SIGKILL");
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

function start(env: Record<string, string>) {
  const child = spawn(process.execPath, [MAIN], {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
      TOWPATH_STATE_DIR: join(folder, "state"),
      TOWPATH_PORT: "0",
      ...env,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.push(child);
  const lines: Record<string, unknown>[] = [];
  let stderr = "";
  child.stderr.on("data", (text) => (stderr += text));
  const listening = Promise.withResolvers<string>();
  createInterface(child.stdout).on("line", (line) => {
    const read = JSON.parse(line);
    lines.push(read);
    if (read.msg === "listening") listening.resolve(read.url);
  });
  const ended = once(child, "close").then(([code, signal]) => ({ code, signal, lines, stderr }));
  return {
    child,
    ended,
    /** Its URL. Rejects if it ends instead. */
    listening: () =>
      Promise.race([
        listening.promise,
        ended.then(({ stderr: said }) => Promise.reject(new Error(`it ended early: ${said}`))),
      ]),
  };
}

describe("a wrong configuration is reported in a sentence, with a line for programs and exit code 78", () => {
  async function fatalOf(env: Record<string, string>) {
    const { code, lines, stderr } = await start(env).ended;
    const fatal = lines.find((line) => "fatal" in line)?.fatal as { code: string; message: string };
    expect(code).toBe(78);
    expect(stderr).toContain(fatal.message);
    return { ...fatal, stderr };
  }

  test("configuration", async () => {
    const fatal = await fatalOf({ TOWPATH_PORT: "x", TOWPATH_ROLES: "y" });
    expect(fatal.code).toBe("configuration");
    expect(fatal.message).toMatch(/TOWPATH_PORT[\s\S]*TOWPATH_ROLES/);
  });

  test("a taken port", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const address = other.address();
    const port = String(typeof address === "object" ? address?.port : 0);
    const fatal = await fatalOf({ DATABASE_URL: database.url, TOWPATH_PORT: port });
    expect(fatal.code).toBe("port-taken");
    expect(fatal.message).toMatch(new RegExp(`Port ${port} .*TOWPATH_PORT`));
    other.close();
  });

  test("an unreachable database is named without its password", async () => {
    const fatal = await fatalOf({ DATABASE_URL: "postgres://u:hunter2@127.0.0.1:1/x" });
    expect(fatal.code).toBe("database-unreachable");
    expect(fatal.stderr).not.toContain("hunter2");
  });

  test("a database that refuses", async () => {
    const url = new URL(database.url);
    url.pathname = "/no_such_database";
    expect((await fatalOf({ DATABASE_URL: url.href })).code).toBe("database-refused");
  });

  test("a folder that is not writable", async () => {
    await writeFile(join(folder, "file"), "");
    const fatal = await fatalOf({
      DATABASE_URL: database.url,
      TOWPATH_STATE_DIR: join(folder, "file/state"),
    });
    expect(fatal.code).toBe("directory-not-writable");
  });
});

test("a signal stops it cleanly", async () => {
  const { child, ended, listening } = start({ DATABASE_URL: database.url });
  await listening();
  child.kill("SIGTERM");
  const { code, lines } = await ended;
  expect(code).toBe(0);
  expect(lines.at(-1)?.msg).toBe("stopped");
});

test("after kill -9 the next start has the embedded database with everything acknowledged", async () => {
  const env = { TOWPATH_STATE_DIR: join(folder, "embedded"), TOWPATH_BOOTSTRAP: "1" };
  const first = start(env);
  const url = await first.listening();
  const key = (await readFile(join(folder, "embedded/admin.key"), "utf8")).trim();
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const body = JSON.stringify({ name: "kept" });
  const made = await fetch(`${url}/api/pools`, { method: "POST", headers, body });
  expect(made.status).toBe(201);
  first.child.kill("SIGKILL");
  await first.ended;
  const second = start(env);
  const again = await second.listening();
  expect((await fetch(`${again}/api/pools/kept`, { headers })).status).toBe(200);
  expect((await readFile(join(folder, "embedded/admin.key"), "utf8")).trim()).toBe(key);
  second.child.kill("SIGINT");
  expect((await second.ended).code).toBe(0);
});
