import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type FakeAttempt, linesOf } from "./testing/fake-attempt.fixture.ts";
import { WorkerTestEnv } from "./testing/test-env.fixture.ts";
import { namespacesObstacle } from "./testing/walls.fixture.ts";
import { processesUnder } from "./walls/namespaces.ts";

const obstacle = namespacesObstacle();
if (obstacle !== null && process.env.CI) throw new Error(`Namespaces must be possible in CI: ${obstacle}.`);
if (obstacle !== null) console.warn(`SKIPPED: attempts in namespaces are not tested: ${obstacle}.`);

let testEnv: WorkerTestEnv;
beforeEach(async () => {
  testEnv = await WorkerTestEnv.open();
});
afterEach(async () => {
  await testEnv.close();
});

const start = (more: object = {}) => testEnv.start({ namespaces: "required", ...more });

const command = (script: string, more: object = {}) =>
  testEnv.deploy(
    { "run.sh": script },
    { entry: { kind: "command", argv: ["sh", "run.sh"] }, killGraceMs: 30_000, ...more },
  );

async function running(spec: Awaited<ReturnType<typeof command>>): Promise<FakeAttempt> {
  const attempt = testEnv.plane.submit(spec);
  await testEnv.plane.until("it runs", () => linesOf(attempt).length > 0);
  return attempt;
}

/** The first process of an attempt's namespaces, on this machine. */
async function firstOf(attempt: FakeAttempt): Promise<number> {
  const [name = ""] = (await readdir(join(testEnv.dir, "state/attempts"))).filter((one) =>
    one.startsWith(attempt.attemptId),
  );
  const text = await readFile(join(testEnv.dir, "state/attempts", name, "attempt.json"), "utf8");
  return JSON.parse(text).process.pid;
}

/** The processes of an attempt, without the first one, by their names. */
async function namesOf(attempt: FakeAttempt): Promise<[name: string, pid: number][]> {
  return (await processesUnder(await firstOf(attempt))).map(({ name, pid }) => [name, pid]);
}

describe.skipIf(obstacle !== null)("an attempt in namespaces", () => {
  test("has the exit code of its command", async () => {
    await start();
    const attempt = testEnv.plane.submit(await command("exit 37"));
    expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "failed", exitCode: 37 });
  });

  test("that another process kills was ended by that signal, with the number of its group on this machine", async () => {
    await start();
    const attempt = await running(
      await testEnv.deployFlow(
        'await gateway.log("up"); await new Promise(() => setTimeout(() => {}, 600000));',
      ),
    );
    const first = await firstOf(attempt);
    const [runner] = await processesUnder(first);
    process.kill(runner?.pid ?? 0, "SIGKILL");
    expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({
      outcome: "failed",
      cause: "killed",
      exitCode: null,
    });
    const line = linesOf(attempt).at(-1);
    expect(line).toMatch(/^worker: The process was ended by SIGKILL, which the worker did not send\./);
    expect(line?.endsWith(` ${first}.`)).toBe(true);
  });

  test("gets SIGTERM when it is cancelled, and ends in its own time", async () => {
    await start();
    const script =
      "trap 'echo heard; sleep 0.3; echo finished; exit 5' TERM; echo up; while :; do sleep 0.05; done";
    const attempt = await running(await command(script));
    testEnv.plane.cancel(attempt);
    expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "cancelled", exitCode: 5 });
    expect(linesOf(attempt)).toEqual(expect.arrayContaining(["stdout: heard", "stdout: finished"]));
  });

  test("is killed with all that it started if it ignores SIGTERM", async () => {
    await start();
    const script = "trap '' TERM; env -i setsid sleep 1000 & sleep 1000 & echo up; while :; do sleep 1; done";
    const attempt = await running(await command(script, { killGraceMs: 300 }));
    const first = await firstOf(attempt);
    testEnv.plane.cancel(attempt);
    expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "cancelled" });
    expect(await processesUnder(first)).toEqual([]);
    expect(await readFile(`/proc/${first}/stat`, "latin1").catch(() => "gone")).toMatch(/^gone|\) Z /);
  });

  test("names the child processes that outlived it", async () => {
    await start();
    const attempt = testEnv.plane.submit(
      await command("sleep 1000 & setsid sleep 1000 & sleep 0.3; echo up"),
    );
    expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
    expect(linesOf(attempt).at(-1)).toMatch(
      /^worker: Killed processes .* after its end: \d+ \(sleep\), \d+ \(sleep\)\. Wait/,
    );
  });

  test("starts warm, and sees the code of others only if its process had to wait for any attempt", async () => {
    await start({ warm: 1 });
    const look = 'ls "$STATE/cache" >/dev/null 2>&1 && echo listed || echo closed; ls "$PWD"';
    const env = { STATE: join(testEnv.dir, "state") };
    const cold = await testEnv.deploy(
      { "run.sh": "echo first" },
      { entry: { kind: "command", argv: ["sh", "run.sh"] } },
    );
    const untilWarm = (count: number) =>
      expect
        .poll(() => testEnv.logged.filter((line) => line.includes("a runner is warm")).length)
        .toBe(count);
    // An attempt that starts before the first process is warm takes none, and so no second one starts.
    await untilWarm(1);
    await testEnv.plane.untilEnded(testEnv.plane.submit(cold));
    await untilWarm(2);
    const warm = testEnv.plane.submit(await command(look, { env }));
    await testEnv.plane.untilEnded(warm);
    expect(warm.control[0]).toMatchObject({ type: "started", launcher: "warm" });
    expect(linesOf(warm)).toContain("stdout: run.sh");
    expect(linesOf(warm)[0]).toBe("stdout: listed");
  });

  test("that starts cold sees no code of others", async () => {
    await start();
    const first = await running(await command("echo up; exec sleep 1000", { deployment: "other" }));
    const env = { STATE: join(testEnv.dir, "state") };
    const look =
      'ls "$STATE/cache" 2>&1; find "$PWD" "$STATE" /run /tmp /home /root -name run.sh 2>/dev/null | grep -c .';
    const attempt = testEnv.plane.submit(await command(look, { env }));
    await testEnv.plane.untilEnded(attempt);
    expect(linesOf(attempt)).toEqual([expect.stringContaining("Permission denied"), "stdout: 1"]);
    expect((await namesOf(first)).length).toBeGreaterThan(0);
  });

  test("reads and writes the folders of the configuration, and no others", async () => {
    const [data, results] = [join(testEnv.dir, "data"), join(testEnv.dir, "results")];
    await Promise.all([data, results].map((dir) => mkdir(dir)));
    await writeFile(join(data, "in"), "rows");
    await start({ flowFolders: { read: ["data"], write: ["results"] } });
    const script = 'cp "$DATA/in" "$RESULTS/out" && echo copied; echo x > "$DATA/new" || echo closed';
    const attempt = testEnv.plane.submit(await command(script, { env: { DATA: data, RESULTS: results } }));
    await testEnv.plane.untilEnded(attempt);
    expect(linesOf(attempt)).toEqual(expect.arrayContaining(["stdout: copied", "stdout: closed"]));
    expect(await readFile(join(results, "out"), "utf8")).toBe("rows");
  });

  test("starts an interpreter that is a link to another installation", async () => {
    const [base, environment] = [join(testEnv.dir, "base/bin"), join(testEnv.dir, "environment/bin")];
    await Promise.all([base, environment].map((dir) => mkdir(dir, { recursive: true })));
    await writeFile(join(base, "python3"), "#!/bin/sh\necho the other one\n", { mode: 0o755 });
    const python = join(environment, "python");
    await symlink(join(base, "python3"), python);
    await start({ python: { interpreters: { default: python } } });
    const attempt = testEnv.plane.submit(await command('"$PYTHON"', { env: { PYTHON: python } }));
    expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
    expect(linesOf(attempt)).toContain("stdout: the other one");
  });

  test("uses its gateway although the state directory has a long path", async () => {
    await start({ stateDir: `${"deep/".repeat(20)}state` });
    const attempt = testEnv.plane.submit(await testEnv.deployFlow('await gateway.log("reached");'));
    expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
    expect(linesOf(attempt)).toContain("log: reached");
    await expect.poll(() => readdir(join(testEnv.dir, "deep/".repeat(20), "state/attempts"))).toEqual([]);
  });
});
