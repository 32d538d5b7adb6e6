import { existsSync } from "node:fs";
import { chmod, chown, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { SpecInput } from "@towpath/contract";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { COMMAND_ATTACKS, NODE_ATTACKS, PYTHON_ATTACKS } from "./testing/attacks.fixture.ts";
import { type FakeAttempt, linesOf } from "./testing/fake-attempt.fixture.ts";
import { hasPython } from "./testing/python.fixture.ts";
import { WorkerTestEnv } from "./testing/test-env.fixture.ts";
import { killNine, type WorkerProcess, WorkerProcesses } from "./testing/worker-process.fixture.ts";
import { processesOf } from "./walls/user-processes.ts";

const isRoot = process.getuid?.() === 0;
if (!isRoot && process.env.CI) throw new Error("The attacks need a worker that is root. Run CI as root.");
if (!isRoot) console.warn("SKIPPED: only root can give each attempt a user, so no attack was tried.");
/** A Python that every user may start. */
const PYTHON = ["/usr/bin/python3", "/usr/local/bin/python3"].find(existsSync);

let testEnv: WorkerTestEnv;
const workers = new WorkerProcesses();
beforeEach(async () => {
  testEnv = await WorkerTestEnv.open();
  await chmod(testEnv.dir, 0o711);
  await mkdir(join(testEnv.dir, "protected"), { mode: 0o755 });
  await writeFile(join(testEnv.dir, "protected", "kept"), "kept", { mode: 0o644 });
});
afterEach(async () => {
  await workers.end();
  await testEnv.close();
});

const start = (more: object = {}): Promise<WorkerProcess> =>
  workers.start(
    testEnv,
    {
      runAs: "users",
      capacity: 3,
      ...(PYTHON && { python: { interpreters: { default: PYTHON } } }),
      ...more,
    },
    { TOWPATH_SECRET_CANARY: "canary-5d1c" },
  );

const command = (file: string) => ({ kind: "command" as const, argv: ["sh", file] });

const state = (...names: string[]) => join(testEnv.dir, "state", ...names);

/** An attempt that waits with files of its own, and what an attacker would want of it. */
async function victim(): Promise<{ attempt: FakeAttempt; env: Record<string, string> }> {
  const script =
    'echo x > "$TOWPATH_WORK_DIR/file"; echo x > "$TMPDIR/file"; echo "$$ $(id -u) $TOWPATH_TOKEN_FILE $HOME"; exec sleep 1000';
  const attempt = testEnv.plane.submit(
    await testEnv.deploy({ "wait.sh": script }, { deployment: "victim", entry: command("wait.sh") }),
  );
  await testEnv.plane.until("the victim runs", () => linesOf(attempt).length === 1);
  const [pid = "", uid = "", token = "", home = ""] =
    linesOf(attempt)[0]?.replace("stdout: ", "").split(" ") ?? [];
  const dir = dirname(token);
  const { socket } = JSON.parse(await readFile(join(dir, "attempt.json"), "utf8")) as { socket: string };
  const env = {
    KEY: join(testEnv.dir, "worker.key"),
    SETTINGS: join(testEnv.dir, "worker.json"),
    STATE: state(),
    STORE: join(testEnv.dir, "store"),
    PROTECTED: join(testEnv.dir, "protected"),
    VICTIM: pid,
    VICTIM_UID: uid,
    VICTIM_TOKEN: token,
    VICTIM_PARAMETERS: join(dir, "parameters.json"),
    VICTIM_WORK: join(dir, "work", "file"),
    VICTIM_HOME: home,
    VICTIM_TEMPORARY: join(home, "tmp", "file"),
    VICTIM_SOCKET: socket,
  };
  return { attempt, env };
}

/** Runs an attack beside a victim. */
async function attackWith(
  files: Record<string, string>,
  more: Partial<SpecInput> & { entry: SpecInput["entry"] },
): Promise<{ lines: string[]; env: Record<string, string> }> {
  const { attempt: other, env } = await victim();
  const attempt = testEnv.plane.submit(await testEnv.deploy(files, { env, ...more }));
  const end = await testEnv.plane.untilEnded(attempt);
  const lines = linesOf(attempt).map((line) => line.replace(/^(stdout|stderr|log): /, ""));
  expect({ end: end.outcome, lines }).toMatchObject({ end: "completed" });
  expect(other.outcome).toBeNull();
  return { lines, env };
}

const attacksIn = (lines: readonly string[]) => lines.filter((line) => / (held|BROKEN)/.test(line));
const brokenIn = (lines: readonly string[]) => lines.filter((line) => line.endsWith("BROKEN"));

function idsIn(lines: readonly string[]): { uid: string; gid: string; groups: string[] } {
  const [, uid = "", gid = "", groups = ""] =
    /^uid (\d+) gid (\d+) groups (\S*)/.exec(lines.find((line) => line.startsWith("uid ")) ?? "") ?? [];
  return { uid, gid, groups: groups.split(",") };
}

describe.skipIf(!isRoot)("a flow on a worker that is root", () => {
  test("cannot reach the worker or another attempt, in TypeScript", async () => {
    await start();
    const source = `import { flow } from "./sdk.mjs";\nexport const main = flow(async () => {${NODE_ATTACKS}});\n`;
    const entry = { kind: "flow", module: "flow.mjs", export: "main" } as const;
    const { lines, env } = await attackWith({ "flow.mjs": source }, { entry });
    expect(brokenIn(lines)).toEqual([]);
    expect(attacksIn(lines).length).toBeGreaterThan(45);
    const ids = idsIn(lines);
    expect(Number(ids.uid)).toBeGreaterThan(2_000_000_000);
    expect(ids.gid).toBe(ids.uid);
    expect(ids.uid).not.toBe(env.VICTIM_UID);
    expect(new Set(ids.groups)).toEqual(new Set([ids.gid, "2000000000"]));
    expect(lines).toContain("temporary 700");
    expect(lines).toContain("own-file 0");
  });

  test.skipIf(!hasPython || PYTHON === undefined)("cannot reach them in Python", async () => {
    await start();
    const entry = { kind: "python", module: "flows/main.py", function: "main" } as const;
    const { lines } = await attackWith({ "flows/main.py": PYTHON_ATTACKS }, { entry });
    expect(brokenIn(lines)).toEqual([]);
    expect(attacksIn(lines).length).toBeGreaterThan(28);
    expect(lines).toContain("child True");
    expect(lines).toContain("temporary True");
  });

  test("cannot reach them as a command", async () => {
    await start();
    const { lines } = await attackWith({ "attack.sh": COMMAND_ATTACKS }, { entry: command("attack.sh") });
    expect(brokenIn(lines)).toEqual([]);
    expect(attacksIn(lines).length).toBeGreaterThan(20);
    expect(lines).toContain("umask 0027");
  });

  test("reaches them without a wall, so these attacks can fail", async () => {
    await start({ runAs: "worker" });
    const harmless = NODE_ATTACKS.split("\n").filter(
      (line) => !/kill-|-code|state|debug-|-own|set|core|temporary|own-file/.test(line),
    );
    const source = `import { flow } from "./sdk.mjs";\nexport const main = flow(async () => {${harmless.join("\n")}});\n`;
    const entry = { kind: "flow", module: "flow.mjs", export: "main" } as const;
    const { lines } = await attackWith({ "flow.mjs": source }, { entry });
    const broken = brokenIn(lines).map((line) => line.split(" ")[0]);
    expect(broken).toEqual(
      expect.arrayContaining([
        "read-KEY",
        "read-VICTIM_TOKEN",
        "victim-environ",
        "victim-socket",
        "new-privileges",
      ]),
    );
  });

  test("leaves no process and no file behind, however it hides them", async () => {
    await start();
    const script = `
echo "uid $(id -u) gid $(id -g) groups $(id -G | tr ' ' ,)"
env -i setsid sh -c 'exec sleep 1000' >/dev/null 2>&1 &
env -i setsid sh -c '(setsid sh -c "while :; do sleep 1000; done" &) & exit 0' >/dev/null 2>&1 &
for dir in /tmp /var/tmp /dev/shm; do mkdir -p "$dir/$MARK/sub"; echo x > "$dir/$MARK/sub/file"; done
echo x > "$HOME/file"; mkdir -p "$TMPDIR/a/b"; chmod 000 "$TMPDIR/a"
sleep 0.5`;
    const mark = `twp-left-${testEnv.dir.split("-").at(-1)}`;
    const attempt = testEnv.plane.submit(
      await testEnv.deploy({ "leave.sh": script }, { entry: command("leave.sh"), env: { MARK: mark } }),
    );
    expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
    const { uid } = idsIn(linesOf(attempt).map((line) => line.replace("stdout: ", "")));
    expect(await processesOf((one) => one === Number(uid))).toEqual([]);
    await expect.poll(() => existsSync(state("users", uid)), { timeout: 60_000 }).toBe(false);
    for (const dir of ["/tmp", "/var/tmp", "/dev/shm"])
      await expect.poll(() => existsSync(join(dir, mark)), { timeout: 60_000 }).toBe(false);
    await expect.poll(() => readdir(state("attempts")), { timeout: 60_000 }).toEqual([]);
  });

  test("cannot make the worker follow a link, read a pipe or lose its place when it cleans up", async () => {
    await start();
    const script = `
own=$(dirname "$TOWPATH_TOKEN_FILE")
for at in "$own" "$HOME" "$TMPDIR" "$TOWPATH_WORK_DIR"; do
  ln -s "$PROTECTED" "$at/folder-link"; ln -s "$PROTECTED/kept" "$at/file-link"; ln -s "$PROTECTED" "$at/.hidden"
done
rmdir "$TOWPATH_WORK_DIR/none" 2>/dev/null
mv "$TMPDIR" "$HOME/moved"; ln -s "$PROTECTED" "$TMPDIR"
mv "$TOWPATH_WORK_DIR" "$own/moved"; ln -s "$PROTECTED" "$TOWPATH_WORK_DIR"
mkfifo "$own/handles" "$own/newest-line" "$HOME/pipe"
ln -s "$PROTECTED/kept" "$own/attempt.json.next"; ln -s "$PROTECTED/kept" "$own/exit.json.draft"
deep=$HOME; for i in $(seq 150); do deep=$deep/d; mkdir "$deep"; done
mkdir "$HOME/many"; for i in $(seq 300); do : > "$HOME/many/$i"; done
echo tricked`;
    const kept = join(testEnv.dir, "protected", "kept");
    const before = await Promise.all([stat(dirname(kept)), stat(kept)]);
    const attempt = testEnv.plane.submit(
      await testEnv.deploy(
        { "trick.sh": script },
        { entry: command("trick.sh"), env: { PROTECTED: dirname(kept) } },
      ),
    );
    await testEnv.plane.untilEnded(attempt);
    expect(linesOf(attempt)).toContain("stdout: tricked");
    await expect.poll(() => readdir(state("attempts")), { timeout: 60_000 }).toEqual([]);
    await expect.poll(() => folderCount(state("users")), { timeout: 60_000 }).toBeLessThanOrEqual(2);
    const after = await Promise.all([stat(dirname(kept)), stat(kept)]);
    expect(after.map(({ uid, gid, mode }) => [uid, gid, mode])).toEqual(
      before.map(({ uid, gid, mode }) => [uid, gid, mode]),
    );
    expect(await readFile(kept, "utf8")).toBe("kept");
  });

  test("keeps its user while its worker is restarted, and no other attempt gets it", async () => {
    const first = await start();
    const script = 'id -u; while [ ! -e "$HOME/go" ]; do sleep 0.05; done; id -u; echo "$HOME"';
    const attempt = testEnv.plane.submit(
      await testEnv.deploy({ "wait.sh": script }, { entry: command("wait.sh") }),
    );
    await testEnv.plane.until("it runs", () => linesOf(attempt).length === 1);
    const uid = linesOf(attempt)[0]?.replace("stdout: ", "") ?? "";
    await killNine(first);
    await start();
    const other = testEnv.plane.submit(
      await testEnv.deploy({ "id.sh": "id -u" }, { deployment: "other", entry: command("id.sh") }),
    );
    await testEnv.plane.untilEnded(other);
    expect(linesOf(other)).not.toContain(`stdout: ${uid}`);
    await writeFile(state("users", uid, "go"), "");
    expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed", exitCode: 0 });
    expect(linesOf(attempt).slice(0, 2)).toEqual([`stdout: ${uid}`, `stdout: ${uid}`]);
    await expect.poll(() => existsSync(state("users", uid)), { timeout: 60_000 }).toBe(false);
  });
});

describe.skipIf(!isRoot)("a worker", () => {
  test("that is not root warns of one trust domain, says so in its session, and does not start if a wall is required", async () => {
    const nobody = { uid: 65_534, gid: 65_534 };
    for (const name of ["", "store", "registry"]) {
      await mkdir(join(testEnv.dir, name), { recursive: true });
      await chown(join(testEnv.dir, name), nobody.uid, nobody.gid);
    }
    await chown(join(testEnv.dir, "worker.key"), nobody.uid, nobody.gid);
    const worker = await workers.start(testEnv, { runAs: "auto" }, {}, nobody);
    await testEnv.plane.until("it has a session", () => testEnv.plane.sessions.length > 0);
    expect(worker.output()).toMatch(/"level":40[^\n]*one trust domain[^\n]*the worker is not root/);
    expect(testEnv.plane.sessions.at(-1)).toMatchObject({ wall: "none" });
    worker.child.kill("SIGTERM");
    await worker.exited;
    const refused = await workers.start(testEnv, { runAs: "users" }, {}, nobody);
    expect(await refused.exited).toBe(1);
    expect(refused.output()).toContain(
      '"runAs\\" requires a user of its own for each attempt, but the worker is not root',
    );
  });

  test("that is root says in its session that each attempt has a user", async () => {
    const worker = await start();
    await testEnv.plane.until("it has a session", () => testEnv.plane.sessions.length > 0);
    expect(testEnv.plane.sessions.at(-1)).toMatchObject({ wall: "users" });
    expect(worker.output()).not.toContain("one trust domain");
  });
});

async function folderCount(dir: string): Promise<number> {
  return (await readdir(dir)).length;
}
