import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { lineNumbersOf, linesOf } from "./testing/fake-attempt.fixture.ts";
import { WorkerTestEnv } from "./testing/test-env.fixture.ts";

let testEnv: WorkerTestEnv;
beforeEach(async () => {
  testEnv = await WorkerTestEnv.open();
});
afterEach(async () => {
  await testEnv.close();
});

test("a flow is claimed, verified, fetched, started, followed and reported to its end", async () => {
  await testEnv.start();
  const spec = await testEnv.deployFlow(`
    console.log("printed");
    await gateway.log("hello " + context.parameters.name);
    const at = new Date().toISOString();
    await gateway.send({ type: "task", path: "clean", name: "clean", move: "queue", tries: 0 },
      { type: "task", path: "clean", name: "clean", move: "begin", tries: 1 },
      { type: "task", path: "clean", name: "clean", move: "complete", tries: 1 });
    await gateway.send({ type: "artifact", key: "notes", body: { kind: "markdown", text: "# Done" } });
  `);
  const attempt = testEnv.plane.submit({ ...spec, parameters: { name: "reader" } });
  const ended = await testEnv.plane.untilEnded(attempt);

  expect(ended).toMatchObject({ outcome: "completed", cause: null, exitCode: 0 });
  expect(attempt.control.map((record) => (record.type === "task" ? record.move : record.type))).toEqual([
    "started",
    "queue",
    "begin",
    "complete",
    "ended",
  ]);
  expect(linesOf(attempt).sort()).toEqual(["log: hello reader", "stdout: printed"]);
  expect(lineNumbersOf(attempt)).toEqual([0, 1]);
  expect(attempt.bulk.find(({ type }) => type === "artifact")).toMatchObject({ key: "notes" });
  await testEnv.plane.until("nothing is held", () => testEnv.plane.claims.at(-1)?.held.length === 0);
  expect(existsSync(join(testEnv.dir, "state", "attempts", `${attempt.attemptId}.1`))).toBe(false);
});

test("a warm runner serves one attempt, and another replaces it", async () => {
  await testEnv.start({ warm: 1 });
  const spec = await testEnv.deployFlow("await gateway.log(String(process.pid));");
  const pids: string[] = [];
  for (const _ of [1, 2]) {
    const attempt = testEnv.plane.submit(spec);
    await testEnv.plane.untilEnded(attempt);
    pids.push(linesOf(attempt).join());
  }
  expect(new Set(pids).size).toBe(2);
});

test("a warm runner has nothing of the run before: no global, file or variable", async () => {
  await testEnv.start({ warm: 1 });
  const spec = await testEnv.deployFlow(`
    const { existsSync, writeFileSync } = await import("node:fs");
    const left = [globalThis.planted, process.env.PLANTED, existsSync("planted"), existsSync(process.env.TOWPATH_WORK_DIR + "/planted")];
    await gateway.log(JSON.stringify(left.map(Boolean)));
    globalThis.planted = process.env.PLANTED = "yes";
    writeFileSync(process.env.TOWPATH_WORK_DIR + "/planted", "");
    try { writeFileSync("planted", ""); } catch {}`);
  const warmed = () => testEnv.logged.filter((line) => line.includes("a runner is warm")).length;
  for (const runs of [1, 2]) {
    await expect.poll(warmed, { timeout: 60_000 }).toBe(runs);
    const attempt = testEnv.plane.submit(spec);
    await testEnv.plane.untilEnded(attempt);
    expect(attempt.control[0]).toMatchObject({ type: "started", launcher: "warm" });
    expect(linesOf(attempt).join()).toContain("[false,false,false,false]");
  }
});

test("a command runs in its code's folder with parameters in a file, and its exit code is the outcome", async () => {
  await testEnv.start();
  const script = [
    "#!/bin/sh",
    'echo "in $(basename "$PWD" | cut -c1-10)"',
    'cat "$TOWPATH_PARAMETERS_FILE"; echo',
    'echo "$GREETING" >&2',
    'echo "work $(ls -d "$TOWPATH_WORK_DIR" > /dev/null && echo there)"',
    "printf partial",
    "exit 3",
  ].join("\n");
  const spec = await testEnv.deploy(
    { "train.sh": script },
    { entry: { kind: "command", argv: ["sh", "train.sh"] }, env: { GREETING: "hi" } },
  );
  const attempt = testEnv.plane.submit({ ...spec, parameters: { depth: 3 } });
  const ended = await testEnv.plane.untilEnded(attempt);
  expect(ended).toMatchObject({ outcome: "failed", cause: "error", exitCode: 3 });
  expect(linesOf(attempt).filter((line) => line.startsWith("stdout"))).toEqual([
    "stdout: in oci-layout",
    'stdout: {"depth":3}',
    "stdout: work there",
    "stdout: partial",
  ]);
  expect(linesOf(attempt)).toContain("stderr: hi");
});

test("a command that exits with 0 completes, and one that cannot be found says so", async () => {
  await testEnv.start();
  const good = testEnv.plane.submit(await testEnv.deploy({}, { entry: { kind: "command", argv: ["true"] } }));
  expect(await testEnv.plane.untilEnded(good)).toMatchObject({ outcome: "completed", exitCode: 0 });
  const bad = testEnv.plane.submit(
    await testEnv.deploy({}, { entry: { kind: "command", argv: ["no-such-program"] } }),
  );
  const ended = await testEnv.plane.untilEnded(bad);
  expect(ended).toMatchObject({ outcome: "failed", cause: "error" });
  expect(ended.error?.message).toContain("no-such-program");
});

test("a spec without a trusted signature is refused, and nothing of it is fetched or launched", async () => {
  await testEnv.start();
  const spec = await testEnv.deployFlow("");
  const [header = "", payload = "", signature = ""] = spec.spec.split(".");
  const forged = JSON.parse(Buffer.from(payload, "base64url").toString());
  forged.env = { EVIL: "1" };
  const body = Buffer.from(JSON.stringify(forged)).toString("base64url");
  const attempt = testEnv.plane.submit({ ...spec, spec: `${header}.${body}.${signature}` });
  const ended = await testEnv.plane.untilEnded(attempt);
  expect(ended).toMatchObject({ outcome: "refused", cause: "refused" });
  expect(ended.error?.message).toContain("signature");
  expect(attempt.control.map(({ type }) => type)).toEqual(["ended"]);
  const key = `oci-layout-${spec.digest.replace("sha256:", "")}`;
  expect(existsSync(join(testEnv.dir, "state", "cache", key))).toBe(false);
});

test("code whose bytes do not match their digest is refused", async () => {
  await testEnv.start();
  const spec = await testEnv.deployFlow("");
  await writeFile(testEnv.layout.blobPath(spec.digest), "{}");
  const ended = await testEnv.plane.untilEnded(testEnv.plane.submit(spec));
  expect(ended).toMatchObject({ outcome: "refused", cause: "refused" });
});

test("an attempt whose code is missing is given back with the reason", async () => {
  await testEnv.start();
  const spec = await testEnv.deploy(
    {},
    {
      entry: { kind: "command", argv: ["true"] },
      code: { kind: "oci-layout", registry: "local", digest: `sha256:${"0".repeat(64)}` },
    },
  );
  const attempt = testEnv.plane.submit(spec);
  await testEnv.plane.until("it was released", () => attempt.control.length > 0);
  expect(attempt.control[0]).toMatchObject({ type: "released" });
});

test("parameters that do not satisfy the signed schema are refused with their names", async () => {
  await testEnv.start();
  const parameters = {
    type: "object",
    properties: { island: { type: "string" } },
    additionalProperties: false,
  };
  const attempt = testEnv.plane.submit({
    ...(await testEnv.deployFlow("", { parameters })),
    parameters: { islnd: "Dream" },
  });
  const ended = await testEnv.plane.untilEnded(attempt);
  expect(ended).toMatchObject({ outcome: "refused", cause: "invalid-parameters" });
  expect(ended.error?.message).toContain("islnd");
});

test("a flow that throws fails with its error; one whose module is broken fails with that", async () => {
  await testEnv.start();
  const thrown = testEnv.plane.submit(await testEnv.deployFlow('throw new TypeError("no such column");'));
  const ended = await testEnv.plane.untilEnded(thrown);
  expect(ended).toMatchObject({ outcome: "failed", cause: "error", error: { name: "TypeError" } });
  const entry = { kind: "flow", module: "flow.mjs", export: "main" } as const;
  const broken = testEnv.plane.submit(
    await testEnv.deploy({ "flow.mjs": 'import "./missing.mjs";' }, { entry }),
  );
  const failed = await testEnv.plane.untilEnded(broken);
  expect(failed).toMatchObject({ outcome: "failed", cause: "error", exitCode: 1 });
  expect(failed.error?.message).toContain("missing.mjs");
});

test("secrets reach the flow and leave in no record", async () => {
  const value = "s3cr3t-Value/with+odd=chars";
  await writeFile(join(testEnv.dir, "secret"), `${value}\n`);
  await testEnv.start({ secrets: { "warehouse-password": { file: "secret" } } });
  const spec = await testEnv.deployFlow(
    `const value = context.secrets["warehouse-password"];
     console.log("as is", value);
     console.error(Buffer.from("user:" + value).toString("base64"));
     await gateway.log(JSON.stringify({ value, env: process.env.PGPASSWORD }));
     await gateway.send({ type: "task", path: value, name: value, move: "queue", tries: 0 });
     await gateway.send({ type: "artifact", key: value, body: { kind: "table", columns: [value], rows: [[value]] } });
     if (process.env.PGPASSWORD !== value) return "cancelled";
     throw new Error("cannot connect with " + value);`,
    { secrets: [{ name: "warehouse-password", env: "PGPASSWORD" }] },
  );
  const attempt = testEnv.plane.submit(spec);
  const ended = await testEnv.plane.untilEnded(attempt);
  expect(ended.error?.message).toBe("cannot connect with [secret:warehouse-password]");
  expect(linesOf(attempt)).toContain("stdout: as is [secret:warehouse-password]");
  expect(testEnv.plane.received).not.toContain(value);
  expect(testEnv.plane.received).not.toContain(Buffer.from(`:${value}`).toString("base64").slice(4, -4));
});

test("with the control plane away, confirmed work goes on and is reported afterwards", async () => {
  await testEnv.start();
  const spec = await testEnv.deployFlow(
    'await gateway.log("first"); const fs = await import("node:fs"); while (!fs.existsSync(process.env.FLAG)) await new Promise((r) => setTimeout(r, 20)); await gateway.log("last"); fs.writeFileSync(process.env.FLAG + ".done", "");',
    { env: { FLAG: join(testEnv.dir, "flag") } },
  );
  const attempt = testEnv.plane.submit(spec);
  await testEnv.plane.until("it runs", () => linesOf(attempt).length > 0);
  await testEnv.plane.stop();
  await writeFile(join(testEnv.dir, "flag"), "");
  await expect.poll(() => existsSync(join(testEnv.dir, "flag.done")), { timeout: 60_000 }).toBe(true);
  await testEnv.plane.start();
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
  expect(linesOf(attempt)).toEqual(["log: first", "log: last"]);
});

test("nothing is launched before its start was accepted", async () => {
  await testEnv.start();
  testEnv.plane.takesReports = false;
  const spec = await testEnv.deployFlow('(await import("node:fs")).writeFileSync(process.env.FLAG, "");', {
    env: { FLAG: join(testEnv.dir, "flag") },
  });
  const attempt = testEnv.plane.submit(spec);
  await testEnv.plane.until("it is held", () => (testEnv.plane.claims.at(-1)?.held.length ?? 0) > 0);
  expect(existsSync(join(testEnv.dir, "flag"))).toBe(false);
  testEnv.plane.takesReports = true;
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
  expect(existsSync(join(testEnv.dir, "flag"))).toBe(true);
});

test("an attempt that was given to another worker is stopped and reports nothing more", async () => {
  await testEnv.start();
  const attempt = testEnv.plane.submit(
    await testEnv.deploy(
      { "loop.sh": 'echo "pid $$"; exec sleep 1000' },
      { entry: { kind: "command", argv: ["sh", "loop.sh"] } },
    ),
  );
  await testEnv.plane.until("it runs", () => linesOf(attempt).length > 0);
  const pid = Number(linesOf(attempt)[0]?.split(" ").at(-1));
  testEnv.plane.reassign(attempt);
  attempt.state = "ended";
  await expect.poll(() => existsSync(`/proc/${pid}`), { timeout: 60_000 }).toBe(false);
  await testEnv.plane.until("it is let go", () => testEnv.plane.claims.at(-1)?.held.length === 0);
  expect(attempt.control.map(({ type }) => type)).toEqual(["started"]);
  expect(existsSync(join(testEnv.dir, "state", "journals", `${attempt.attemptId}.1`))).toBe(true);
});

test("under `stop`, a lease that runs out while the control plane is away ends the process", async () => {
  testEnv.plane.leaseMs = 1_500;
  await testEnv.start();
  const attempt = testEnv.plane.submit(
    await testEnv.deploy(
      { "loop.sh": 'echo "pid $$"; exec sleep 1000' },
      { entry: { kind: "command", argv: ["sh", "loop.sh"] }, onDisconnect: "stop" },
    ),
  );
  await testEnv.plane.until("it runs", () => linesOf(attempt).length > 0);
  const pid = Number(linesOf(attempt)[0]?.split(" ").at(-1));
  await testEnv.plane.stop();
  await expect.poll(() => existsSync(`/proc/${pid}`), { timeout: 60_000 }).toBe(false);
  await testEnv.plane.start();
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "failed", cause: "lost" });
});

test("a drained worker takes nothing more and ends what runs with cause evicted", async () => {
  const worker = await testEnv.start();
  const attempt = testEnv.plane.submit(
    await testEnv.deploy({}, { entry: { kind: "command", argv: ["sh", "-c", "echo up; sleep 600"] } }),
  );
  await testEnv.plane.until("it runs", () => linesOf(attempt).length > 0);
  const draining = worker.drain();
  await testEnv.plane.until("the drain is heard", () => testEnv.plane.claims.at(-1)?.draining === true);
  const later = testEnv.plane.submit(await testEnv.deployFlow(""));
  await draining;
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "failed", cause: "evicted" });
  expect(later.state).toBe("ready");
});

test("an expired session is exchanged and nothing is lost", async () => {
  await testEnv.start();
  testEnv.plane.expireSessions();
  const attempt = testEnv.plane.submit(await testEnv.deployFlow('await gateway.log("on");'));
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
  expect(testEnv.plane.sessions.length).toBeGreaterThan(1);
});

test("a malformed record is rejected by itself, repeats are ignored, and a call is forwarded with a derived id", async () => {
  await testEnv.start();
  const attempt = testEnv.plane.submit(
    await testEnv.deployFlow(
      `const at = new Date().toISOString();
       const { body } = await gateway.send("{not json", { type: "log", level: "info", text: "good" });
       await gateway.log("rejected " + body.rejected.length + " acked " + body.acked);
       await gateway.send(JSON.stringify({ seq: 1, type: "log", at, level: "info", text: "good" }));
       const called = await gateway.call("train", { kind: "start-run", deployment: "child", parameters: {} });
       await gateway.log("child " + called.body.state);
       const refused = await gateway.call("train", { kind: "start-run", deployment: "other", parameters: {} });
       await gateway.log("other " + refused.status);`,
      { mayStart: ["child"] },
    ),
  );
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
  expect(linesOf(attempt)).toEqual([
    "log: good",
    "log: rejected 1 acked 1",
    "log: child ready",
    "log: other 403",
  ]);
  expect(testEnv.plane.calls).toHaveLength(1);
});
