import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { SPEC_FORMAT, SPEC_TYP, type SpecInput } from "@towpath/contract";
import { CompactSign, type CryptoKey, exportJWK, generateKeyPair, type JWK } from "jose";
import { pino } from "pino";
import { TestLayout } from "../code/oci-layout.fixture.ts";
import { checkSettings, type WorkerConfig } from "../config.ts";
import type { WorkerSettings } from "../settings.ts";
import { type RunningWorker, startWorker, type WorkerDeps } from "../worker.ts";
import { shareCompiled } from "./compiled.fixture.ts";
import { FakeControlPlane } from "./control-plane.fixture.ts";
import type { Submission } from "./fake-attempt.fixture.ts";

/** The code that tests deploy: flows written against the run protocol, and scripts. */
const SDK = `
import { request } from "node:http";
import { readFileSync } from "node:fs";
export function connect(address) {
  const token = readFileSync(address.tokenFile, "utf8").trim();
  let seq = 0;
  const ask = (method, path, body, signal) => new Promise((resolve, reject) => {
    const sent = request({ socketPath: address.socket, method, path, signal, headers: { authorization: "Bearer " + token } }, (answer) => {
      let text = "";
      answer.on("data", (chunk) => { text += chunk; });
      answer.on("error", reject);
      answer.on("end", () => resolve({ status: answer.statusCode, body: JSON.parse(text) }));
    });
    sent.on("error", reject);
    sent.end(body);
  });
  const patiently = async (...args) => {
    for (;;) {
      try {
        const answer = await ask(...args);
        if (answer.status < 500) return answer;
      } catch {}
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  const send = (...records) => {
    const lines = records.map((record) => typeof record === "string" ? record : JSON.stringify({ seq: ++seq, at: new Date().toISOString(), ...record }));
    return patiently("POST", "/records", lines.join("\\n"));
  };
  return {
    ask, send,
    context: async () => (await patiently("GET", "/context", "")).body,
    log: (text) => send({ type: "log", level: "info", text }),
    outcome: (outcome, more = {}) => send({ type: "outcome", outcome, ...more }),
    commands: (revision) => ask("GET", "/commands?waitMs=20000&revision=" + revision, ""),
    call: (path, call) => ask("POST", "/calls", JSON.stringify({ path, call })),
  };
}
export const flow = (fn) => ({ [Symbol.for("towpath.run-flow")]: async (address) => {
  const gateway = connect(address);
  try {
    const outcome = (await fn(gateway, await gateway.context())) ?? "completed";
    await gateway.outcome(outcome);
    return outcome;
  } catch (error) {
    await gateway.outcome("failed", { error: { name: error.name, message: error.message, stack: error.stack } });
    return "failed";
  }
} });
`;

/** The environment of one test: keys, registry, store, control plane and workers. */
export class WorkerTestEnv {
  readonly dir: string;
  readonly plane = new FakeControlPlane();
  readonly layout: TestLayout;
  /** The log lines of workers in this process. */
  readonly logged: string[] = [];
  readonly #key: CryptoKey;
  readonly #publicKey: JWK;
  readonly #workers: RunningWorker[] = [];

  private constructor(dir: string, keys: { key: CryptoKey; publicKey: JWK }) {
    this.dir = dir;
    this.layout = new TestLayout(join(dir, "registry"));
    this.#key = keys.key;
    this.#publicKey = keys.publicKey;
  }

  static async open(): Promise<WorkerTestEnv> {
    const dir = await mkdtemp(join(tmpdir(), "twp-worker-"));
    const pair = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
    const publicKey = { ...(await exportJWK(pair.publicKey)), kid: "test-key" };
    const testEnv = new WorkerTestEnv(dir, { key: pair.privateKey, publicKey });
    await mkdir(join(dir, "store"), { recursive: true });
    await writeFile(join(dir, "worker.key"), `${testEnv.plane.key}\n`, { mode: 0o600 });
    await testEnv.plane.start();
    return testEnv;
  }

  /** Stops everything that the test started, and removes its folder. */
  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.stopNow()));
    await this.plane.stop();
    // Processes that were killed may still write for a moment.
    await rm(this.dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }

  settings(more: Partial<WorkerSettings> = {}): WorkerSettings {
    const { x, kid } = this.#publicKey;
    if (!x || !kid) throw new Error("not an Ed25519 key");
    return {
      url: this.plane.url,
      key: { file: "worker.key" },
      pool: "local",
      name: "test",
      capacity: 2,
      warm: 0,
      loadAhead: 0,
      stateDir: "state",
      trustedKeys: [{ kty: "OKP", crv: "Ed25519", x, kid }],
      registries: { local: { kind: "oci-layout", path: "registry" } },
      store: { root: "store" },
      envAllow: ["PATH"],
      // The flows of most tests write beside the files of the test. Tests of walls ask for them.
      runAs: "worker",
      logLevel: "silent",
      drainMs: 100,
      ...more,
    };
  }

  async config(more: Partial<WorkerSettings> = {}): Promise<WorkerConfig> {
    return await checkSettings(this.settings(more), { folder: this.dir, environment: process.env });
  }

  async start(more: Partial<WorkerSettings> = {}, deps: Partial<WorkerDeps> = {}): Promise<RunningWorker> {
    const worker = await this.begin(more, deps);
    await worker.ready;
    return worker;
  }

  /** Starts a worker without waiting for its session. */
  async begin(more: Partial<WorkerSettings> = {}, deps: Partial<WorkerDeps> = {}): Promise<RunningWorker> {
    const write = (line: string) => {
      this.logged.push(line);
      this.plane.look();
      if (process.env.TOWPATH_TEST_LOG) process.stderr.write(line);
    };
    const log = pino({ level: process.env.TOWPATH_TEST_LOG ?? "debug" }, { write });
    await this.shareCompiled(more);
    const worker = await startWorker(await this.config(more), { ...deps, log });
    this.#workers.push(worker);
    return worker;
  }

  /** Lets the runners of a worker without walls start from compiled code. */
  async shareCompiled(more: Partial<WorkerSettings>): Promise<void> {
    const { runAs, stateDir } = this.settings(more);
    if (runAs === "worker" && stateDir !== undefined) await shareCompiled(resolve(this.dir, stateDir));
  }

  /** Pushes files, signs a spec for them, and returns what a run needs. */
  async deploy(
    files: Record<string, string>,
    more: Partial<SpecInput> & { entry: SpecInput["entry"] },
  ): Promise<Submission & { digest: string }> {
    const all = { "sdk.mjs": SDK, ...files };
    const digest = await this.layout.putCode(
      Object.entries(all).map(([name, content]) => ({ name, content, mode: 0o755 })),
    );
    const spec: SpecInput = {
      format: SPEC_FORMAT,
      workspaceId: this.plane.workspaceId,
      deployment: "example",
      version: 1,
      floor: 1,
      issuedAt: new Date().toISOString(),
      expiresAt: null,
      code: { kind: "oci-layout", registry: "local", digest },
      pools: ["local"],
      parameters: { type: "object" },
      killGraceMs: 500,
      ...more,
    };
    return {
      digest,
      deployment: spec.deployment,
      version: spec.version,
      spec: await this.sign(spec),
    };
  }

  /** Signs any payload as a spec. */
  async sign(spec: object, header: { kid?: string; typ?: string } = {}): Promise<string> {
    return await new CompactSign(new TextEncoder().encode(JSON.stringify(spec)))
      .setProtectedHeader({ alg: "EdDSA", typ: SPEC_TYP, kid: "test-key", ...header })
      .sign(this.#key);
  }

  /** Deploys one flow from its source, the body of `flow(async (gateway, context) => { … })`. */
  async deployFlow(body: string, more: Partial<SpecInput> = {}): Promise<Submission & { digest: string }> {
    const source = `import { flow } from "./sdk.mjs";\nexport const main = flow(async (gateway, context) => {${body}});\n`;
    const entry = { kind: "flow", module: "flow.mjs", export: "main" } as const;
    return await this.deploy({ "flow.mjs": source }, { entry, ...more });
  }
}
