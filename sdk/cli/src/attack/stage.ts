import { join } from "node:path";
import { Claimed, SPEC_FORMAT, type SpecInput } from "@towpath/contract";
import type { Clock } from "../clock.ts";
import { type Child, startChild } from "../dev/children.ts";
import { Failure } from "../failure.ts";
import { programArguments } from "../kernel/programs.ts";
import { readIfThere, writeWhole } from "../kernel/state-folder.ts";
import { canaryCommand, leftBy, printedBy, type Seen } from "./canary.ts";
import { compactJws, ed25519, honestHeader, privateKeyOf } from "./forge.ts";
import { type Ground, REGISTRY } from "./ground.ts";
import { Liar } from "./liar.ts";
import type { Offer } from "./offer.ts";
import { broken, held, type Verdict } from "./verdict.ts";
import type { Wire } from "./wire.ts";

/** How long the worker may take to stop, milliseconds. */
const STOP_MS = 10_000;
/** How long an attempt may take, milliseconds. A busy machine may check its parameters nine times in vain. */
const GIVE_MS = 100_000;
/** A long text that was read from the worker is cut. */
const WHY_CHARS = 160;

/** What a stage needs. */
export interface StageDeps {
  readonly clock: Clock;
  readonly ground: Ground;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** What became of an assignment. */
export interface Outcome {
  /** Whether the marked code ran, by its file or by its output. */
  readonly ran: boolean;
  /** The outcome that the worker reported; null: the worker discarded the whole answer. */
  readonly outcome: string | null;
  readonly why: string;
}

/** One hostile control plane, with a real worker that is configured for it. */
export class Stage {
  readonly name: string;
  readonly deps: StageDeps;
  readonly liar: Liar;
  readonly ground: Ground;
  /** The settings of its worker, without those that differ from worker to worker. */
  settings: Ground["settings"];
  /** Writes the line of a signed spec into the ledger, if its worker has one. */
  record: (jws: string) => Promise<void> = async () => undefined;
  /** The key of its workspace, if that is sealed. */
  workspaceKey: string | null = null;
  #worker: Child | null = null;
  #starts = 0;

  constructor(deps: StageDeps, name: string) {
    this.deps = deps;
    this.name = name;
    this.ground = deps.ground;
    this.settings = deps.ground.settings;
    this.liar = new Liar(deps.clock, deps.ground.workspaceId);
  }

  get stateDir(): string {
    return join(this.ground.folder, `state-${this.name}`);
  }

  get logFile(): string {
    return join(this.ground.folder, `worker-${this.name}.log`);
  }

  /** The worker's log so far. */
  async log(): Promise<string> {
    return (await readIfThere(this.logFile)) ?? "";
  }

  /** Starts the liar and the worker. Resolves once the worker polls. @throws Failure with the last log lines if it ends. */
  async open(): Promise<void> {
    const refused = this.sign(this.spec("recovery", { workspaceId: this.liar.id() }));
    this.liar.refusable = () => this.assignment(refused, { deployment: "recovery" });
    await this.liar.start();
    await this.startWorker();
  }

  /** Starts the worker, with the state of its last start. */
  async startWorker(): Promise<void> {
    const { ground, liar, settings: own } = this;
    const keyFile = join(ground.folder, `worker-${this.name}.key`);
    const config = join(ground.folder, `worker-${this.name}.json`);
    await writeWhole(keyFile, `${liar.key}\n`, 0o600);
    // What runs leaves a file there. Behind a wall that nobody could see, every attack would seem to be held.
    const flowFolders = { write: [ground.canaries] };
    const files = { key: { file: keyFile }, stateDir: this.stateDir, flowFolders };
    const settings = { ...own, url: liar.url, ...files };
    await writeWhole(config, JSON.stringify(settings, null, 2), 0o600);
    const polls = liar.count("claim");
    this.#starts += 1;
    const worker = await startChild({
      name: "worker",
      args: programArguments("worker", "--config", config),
      cwd: ground.folder,
      log: this.logFile,
      environment: { ...this.deps.environment, LOG_FORMAT: "pretty", NO_COLOR: "1" },
    });
    this.#worker = worker;
    void worker.ended.then(() => {
      if (this.#worker === worker) this.#worker = null;
      liar.look();
    });
    await worker.whileAlive(liar.until("the worker polls", () => liar.count("claim") > polls));
  }

  /** Stops the worker. Its state stays. */
  async stopWorker(): Promise<void> {
    const worker = this.#worker;
    this.#worker = null;
    await worker?.stop(STOP_MS);
  }

  async close(): Promise<void> {
    await this.stopWorker();
    await this.liar.stop();
  }

  /** Whether the worker process is there. */
  get isAlive(): boolean {
    return this.#worker !== null;
  }

  /** Resolves when the promise does. @throws Failure if the worker ends first. */
  async whileAlive<T>(promise: Promise<T>): Promise<T> {
    const worker = this.#worker;
    if (worker === null) throw new Failure("The worker has ended.", { exit: "failed", code: "worker-ended" });
    const ended = worker.ended.then((how) => {
      throw new Failure(`The worker ended (${how}).`, { exit: "failed", code: "worker-ended" });
    });
    return await Promise.race([promise, ended]);
  }

  /** An honest spec whose command leaves this marker. Each marker is a deployment of its own. */
  spec(marker: string, more: Partial<SpecInput> = {}): SpecInput {
    return {
      format: SPEC_FORMAT,
      workspaceId: this.ground.workspaceId,
      deployment: marker,
      version: 1,
      floor: 1,
      issuedAt: new Date(this.deps.clock.nowMs()).toISOString(),
      expiresAt: null,
      code: { kind: "oci-layout", registry: REGISTRY, digest: this.ground.digest },
      entry: { kind: "command", argv: canaryCommand(marker, this.ground.canaries) },
      pools: [this.ground.pool],
      parameters: { type: "object", properties: { size: { type: "integer" } }, additionalProperties: false },
      ...more,
    };
  }

  /** Signs any payload with the key that the worker trusts. */
  sign(payload: unknown, header: object = {}): string {
    const { key } = this.ground;
    return compactJws({ ...honestHeader(key.kid), ...header }, payload, ed25519(privateKeyOf(key)));
  }

  /** An assignment as an honest control plane writes it. */
  assignment(spec: string, over: Wire & { readonly deployment: string }): Wire {
    return {
      runId: this.liar.id(),
      ordinal: 1,
      version: 1,
      spec,
      parameters: {},
      trigger: { kind: "person", name: "liar" },
      scheduledAt: new Date(this.deps.clock.nowMs()).toISOString(),
      leaseMs: this.liar.leaseMs,
      endsInMs: null,
      ...over,
    };
  }

  /** What the code with this marker saw, once for each time that it ran: by its files or by its output. */
  async seen(marker: string): Promise<readonly Seen[]> {
    const left = await leftBy(this.ground.canaries, marker);
    const printed = this.liar.offers.flatMap(({ lines }) => printedBy(lines, marker));
    return left.length >= printed.length ? left : printed;
  }

  /** Whether the code with this marker ran. */
  async ran(marker: string): Promise<boolean> {
    return (await this.seen(marker)).length > 0;
  }

  /** An attempt whose code runs until `letGo(until)`, for a lie to give. */
  held(marker: string, until: string): Offer {
    const argv = canaryCommand(marker, this.ground.canaries, `${until}-go`);
    const spec = this.sign(this.spec(marker, { entry: { kind: "command", argv } }));
    return this.liar.hold(this.assignment(spec, { deployment: marker }));
  }

  /** Starts a run that prints until `letGo(marker)`, so that the worker renews and reports. Resolves once it runs. */
  async busy(marker: string): Promise<Offer> {
    const argv = canaryCommand(marker, this.ground.canaries, `${marker}-go`);
    const spec = this.sign(this.spec(marker, { entry: { kind: "command", argv } }));
    const offer = this.liar.offer(this.assignment(spec, { deployment: marker }));
    await this.whileAlive(this.liar.until(`"${marker}" runs`, () => offer.lines.length > 0));
    return offer;
  }

  /** Lets the run with this marker end. */
  async letGo(marker: string): Promise<void> {
    await writeWhole(join(this.ground.canaries, `${marker}-go`), "");
  }

  /**
   * Gives the worker an assignment, and waits until it has ended. If no worker can understand the assignment, the worker must discard
   * the answer and ask again.
   */
  async give(assignment: Wire, marker: string): Promise<Outcome> {
    const numbered = { ...this.liar.fence(), ...assignment };
    const isWire = Claimed.safeParse({ assignments: [numbered], commands: [], superseded: false }).success;
    if (!isWire) return await this.giveAlone({ assignments: [numbered] }, marker);
    const offer = this.liar.offer(assignment);
    const what = `the attempt of "${marker}" has ended`;
    await this.whileAlive(this.liar.until(what, () => offer.isOver, GIVE_MS));
    return await this.outcomeOf(offer, marker);
  }

  async outcomeOf(offer: Offer, marker: string): Promise<Outcome> {
    return { ran: await this.ran(marker), outcome: offer.outcome, why: firstSentence(offer.why) };
  }

  /** Answers a poll with these fields, and waits until the worker polls again after it. */
  async giveAlone(fields: Wire, marker: string): Promise<Outcome> {
    await this.whileAlive(this.liar.lie("claim", { body: (honest) => ({ ...honest, ...fields }) }));
    await this.asksAgain("claim");
    return { ran: await this.ran(marker), outcome: null, why: "the worker discarded the whole answer" };
  }

  /** Waits until the worker sends this verb once more. */
  async asksAgain(verb: Parameters<Liar["count"]>[0]): Promise<void> {
    const before = this.liar.count(verb);
    await this.whileAlive(
      this.liar.until(`the worker sends ${verb} again`, () => this.liar.count(verb) > before),
    );
  }
}

/** The first sentence of a message, for a table. */
export function firstSentence(text: string): string {
  const [sentence = ""] = text.split(/(?<=[.!?])\s|\n/);
  return sentence.length > WHY_CHARS ? `${sentence.slice(0, WHY_CHARS)}…` : sentence;
}

/** The usual judgement: the marked code must not have run. */
export function notRun({ ran, outcome, why }: Outcome): Verdict {
  if (ran) return broken("the code ran");
  return held(outcome === null ? why : `${outcome}: ${why}`);
}
