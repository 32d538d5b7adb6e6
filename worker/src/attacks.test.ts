import { existsSync } from "node:fs";
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { SpecInput } from "@towpath/contract";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import {
  COMMAND_ATTACKS,
  NAMESPACE_ATTACKS,
  NODE_ATTACKS,
  PYTHON_ATTACKS,
} from "./testing/attacks.fixture.ts";
import { type FakeAttempt, linesOf } from "./testing/fake-attempt.fixture.ts";
import { hasPython } from "./testing/python.fixture.ts";
import { WorkerTestEnv } from "./testing/test-env.fixture.ts";
import { giveFolder, NO_WALL, NOBODY, WALLS_TO_TEST, type Wall } from "./testing/walls.fixture.ts";
import { killNine, type WorkerProcess, WorkerProcesses } from "./testing/worker-process.fixture.ts";
import { processesOf } from "./walls/user-processes.ts";

const isRoot = process.getuid?.() === 0;
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
  if (process.env.TOWPATH_TEST_LOG) console.log(worker.output());
  await workers.end();
  await testEnv.close();
});

/** How the worker of this test was started. */
let worker: WorkerProcess;
let wall: Wall;

async function start(more: object = {}): Promise<WorkerProcess> {
  if (wall.as !== null) await giveFolder(testEnv, wall.as);
  worker = await workers.start(
    testEnv,
    {
      ...wall.settings,
      capacity: 3,
      ...(PYTHON && { python: { interpreters: { default: PYTHON } } }),
      ...more,
    },
    { TOWPATH_SECRET_CANARY: "canary-5d1c" },
    wall.as ?? {},
  );
  return worker;
}

const command = (file: string) => ({ kind: "command" as const, argv: ["sh", file] });

const state = (...names: string[]) => join(testEnv.dir, "state", ...names);

/** The folder of a deployment's attempt, and what the worker has stored there. */
async function storedOf(
  deployment: string,
): Promise<{ dir: string; socket: string; process: { pid: number } }> {
  for (const name of await readdir(state("attempts"))) {
    const dir = state("attempts", name);
    const stored = JSON.parse(await readFile(join(dir, "attempt.json"), "utf8"));
    if (stored.spec.deployment === deployment) return { dir, ...stored };
  }
  throw new Error(`no attempt of ${deployment}`);
}

/** An attempt that waits with files of its own, and what an attacker would want of it. */
async function victim(): Promise<{ attempt: FakeAttempt; env: Record<string, string> }> {
  const script =
    'echo x > "$TOWPATH_WORK_DIR/file"; echo x > "$TMPDIR/file"; echo "$$ $(id -u) $HOME"; exec sleep 1000';
  const attempt = testEnv.plane.submit(
    await testEnv.deploy({ "wait.sh": script }, { deployment: "victim", entry: command("wait.sh") }),
  );
  await testEnv.plane.until("the victim runs", () => linesOf(attempt).length === 1);
  const [pid = "", uid = "", home = ""] = linesOf(attempt)[0]?.replace("stdout: ", "").split(" ") ?? [];
  const { dir, socket, process: first } = await storedOf("victim");
  const room = join(dir, "room");
  const [own, given] = wall.hasNamespaces ? [room, join(room, "given")] : [dir, dir];
  const temporary = wall.hasUsers ? join(home, "tmp") : join(own, "tmp");
  const env = {
    KEY: join(testEnv.dir, "worker.key"),
    SETTINGS: join(testEnv.dir, "worker.json"),
    STATE: state(),
    STORE: join(testEnv.dir, "store"),
    PROTECTED: join(testEnv.dir, "protected"),
    WORKER: String(worker.child.pid),
    // The whole value would stand in the attacker's own environment.
    CANARY_START: "canary-",
    VICTIM: wall.hasNamespaces ? String(first.pid) : pid,
    // Without users, its own number would be no attack.
    VICTIM_UID: wall.hasUsers ? uid : "1",
    VICTIM_TOKEN: join(given, "token"),
    VICTIM_PARAMETERS: join(given, "parameters.json"),
    VICTIM_WORK: join(own, "work", "file"),
    VICTIM_HOME: wall.hasUsers ? home : join(own, "home"),
    VICTIM_TEMPORARY: join(temporary, "file"),
    VICTIM_SOCKET: socket,
  };
  const targets = [env.VICTIM_TOKEN, env.VICTIM_PARAMETERS, env.VICTIM_WORK, socket];
  for (const path of [...targets, ...(wall === NO_WALL ? [] : [env.VICTIM_TEMPORARY])])
    expect(existsSync(path), path).toBe(true);
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
  expect({ end: end.outcome, error: end.error, lines }).toMatchObject({ end: "completed" });
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

/** Without users, each flow of a worker can change what the others have stored. Readers notice it by the refs' hashes. */
const notHeldBy = ({ hasUsers }: Wall) => (hasUsers ? [] : ["write-others-values BROKEN"]);

describe.each(WALLS_TO_TEST)("a flow behind $name", (its) => {
  beforeEach(() => {
    wall = its;
  });

  test("cannot reach the worker or another attempt, in TypeScript", async () => {
    await start();
    await writeFile(join(tmpdir(), `planted-${process.pid}`), "x");
    onTestFinished(() => rm(join(tmpdir(), `planted-${process.pid}`), { force: true }));
    const attacks = `${NODE_ATTACKS}${its.hasNamespaces ? NAMESPACE_ATTACKS : ""}`;
    const source = `import { flow } from "./sdk.mjs";\nexport const main = flow(async () => {${attacks}});\n`;
    const entry = { kind: "flow", module: "flow.mjs", export: "main" } as const;
    const { lines, env } = await attackWith({ "flow.mjs": source }, { entry });
    expect(brokenIn(lines)).toEqual(notHeldBy(its));
    expect(attacksIn(lines).length).toBeGreaterThan(its.hasNamespaces ? 75 : 45);
    expect(lines).toContain("own-file 0");
    if (!its.hasUsers) return;
    const ids = idsIn(lines);
    expect(Number(ids.uid)).toBeGreaterThan(2_000_000_000);
    expect(ids.gid).toBe(ids.uid);
    expect(ids.uid).not.toBe(env.VICTIM_UID);
    // A group that a user namespace does not have is shown as nobody's.
    expect(new Set(ids.groups)).toEqual(new Set([ids.gid, its.hasNamespaces ? "65534" : "2000000000"]));
    expect(lines).toContain("temporary 700");
  });

  test.skipIf(!hasPython || PYTHON === undefined)("cannot reach them in Python", async () => {
    await start();
    const entry = { kind: "python", module: "flows/main.py", function: "main" } as const;
    const { lines } = await attackWith({ "flows/main.py": PYTHON_ATTACKS }, { entry });
    expect(brokenIn(lines)).toEqual([]);
    expect(attacksIn(lines).length).toBeGreaterThan(28);
    expect(lines).toContain("child True");
    expect(lines).toContain(`temporary ${its.hasUsers ? "True" : "False"}`);
  });

  test("cannot reach them as a command", async () => {
    await start();
    const { lines } = await attackWith({ "attack.sh": COMMAND_ATTACKS }, { entry: command("attack.sh") });
    expect(brokenIn(lines)).toEqual([]);
    expect(attacksIn(lines).length).toBeGreaterThan(20);
    expect(lines).toContain(its.hasUsers ? "umask 0027" : "umask 0077");
  });

  test("leaves no process and no file behind, however it hides them", async () => {
    await start();
    const script = `
echo "uid $(id -u) gid $(id -g) groups $(id -G | tr ' ' ,)"
env -i setsid sh -c "exec sleep 1000 # $MARK" >/dev/null 2>&1 &
env -i setsid sh -c "(setsid sh -c 'while :; do sleep 1000; done; : $MARK' &) & exit 0" >/dev/null 2>&1 &
for dir in /tmp /var/tmp /dev/shm; do mkdir -p "$dir/$MARK/sub"; echo x > "$dir/$MARK/sub/file"; done
echo x > "$HOME/file"; mkdir -p "$TMPDIR/a/b"; chmod 000 "$TMPDIR/a"
sleep 0.5`;
    const mark = `twp-left-${testEnv.dir.split("-").at(-1)}`;
    const attempt = testEnv.plane.submit(
      await testEnv.deploy({ "leave.sh": script }, { entry: command("leave.sh"), env: { MARK: mark } }),
    );
    expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
    const { uid } = idsIn(linesOf(attempt).map((line) => line.replace("stdout: ", "")));
    if (its.hasUsers) expect(await processesOf((one) => one === Number(uid))).toEqual([]);
    expect(await commandsWith(mark)).toEqual([]);
    if (its.hasUsers)
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
    if (its.hasUsers)
      await expect.poll(() => folderCount(state("users")), { timeout: 60_000 }).toBeLessThanOrEqual(2);
    const after = await Promise.all([stat(dirname(kept)), stat(kept)]);
    expect(after.map(({ uid, gid, mode }) => [uid, gid, mode])).toEqual(
      before.map(({ uid, gid, mode }) => [uid, gid, mode]),
    );
    expect(await readFile(kept, "utf8")).toBe("kept");
  });

  test("goes on while its worker is restarted, and no other attempt gets its user", async () => {
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
    if (its.hasUsers) expect(linesOf(other)).not.toContain(`stdout: ${uid}`);
    const home = its.hasUsers ? state("users", uid) : join((await storedOf("example")).dir, "room", "home");
    await writeFile(join(home, "go"), "");
    expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed", exitCode: 0 });
    expect(linesOf(attempt).slice(0, 2)).toEqual([`stdout: ${uid}`, `stdout: ${uid}`]);
    await expect.poll(() => existsSync(state("users", uid)), { timeout: 60_000 }).toBe(false);
  });
});

describe.skipIf(!isRoot)("a flow without a wall", () => {
  test("reaches the worker and another attempt, so these attacks can fail", async () => {
    wall = NO_WALL;
    await start();
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
});

describe.skipIf(!isRoot)("a worker", () => {
  test("that is not root warns of one trust domain, says so in its session, and does not start if a wall is required", async () => {
    await giveFolder(testEnv, NOBODY);
    const worker = await workers.start(testEnv, { runAs: "auto", namespaces: false }, {}, NOBODY);
    await testEnv.plane.until("it has a session", () => testEnv.plane.sessions.length > 0);
    expect(worker.output()).toMatch(/"level":40[^\n]*one trust domain[^\n]*the worker is not root/);
    expect(testEnv.plane.sessions.at(-1)).toMatchObject({ wall: "none", namespaces: false });
    worker.child.kill("SIGTERM");
    await worker.exited;
    const refused = await workers.start(testEnv, { runAs: "users" }, {}, NOBODY);
    expect(await refused.exited).toBe(1);
    expect(refused.output()).toContain(
      '"runAs\\" requires a user of its own for each attempt, but the worker is not root',
    );
  });

  test.each(WALLS_TO_TEST)("says in its session that $name separate its attempts", async (its) => {
    wall = its;
    await start();
    await testEnv.plane.until("it has a session", () => testEnv.plane.sessions.length > 0);
    const { hasUsers, hasNamespaces } = its;
    expect(testEnv.plane.sessions.at(-1)).toMatchObject({
      wall: hasUsers ? "users" : "none",
      namespaces: hasNamespaces,
    });
    expect(worker.output()).not.toContain("one trust domain");
  });
});

/** The running processes with a text in their command lines. */
async function commandsWith(text: string): Promise<string[]> {
  const found = await Promise.all(
    (await readdir("/proc"))
      .filter((name) => /^\d+$/.test(name))
      .map(async (pid) => await readFile(`/proc/${pid}/cmdline`, "latin1").catch(() => "")),
  );
  return found.filter((line) => line.includes(text));
}

async function folderCount(dir: string): Promise<number> {
  return (await readdir(dir)).length;
}
