import { LedgerError, parseLedger, sha256Hex, shortHash } from "@towpath/contract/ledger";
import type { Logger } from "pino";
import { z } from "zod";
import type { Clock, Sleep } from "../host/index.ts";
import { readFileIfAny, writeFileAtomic } from "../state/atomic-file.ts";
import { NoLedger, Refusal } from "./refusal.ts";
import { checkSeen, extendSeen } from "./seen-heads.ts";
import { indexOf, type LedgerBook, type SignedSpecs } from "./signed-specs.ts";

/** The largest ledger that is read over the network, bytes: about 25,000 signed specs. */
export const REMOTE_LEDGER_BYTES: number = 16 * 1024 * 1024;
/** The longest time of one read, milliseconds. An assignment may wait for it. */
const READ_MS = 20_000;
/** The shortest time between the starts of two reads, milliseconds. */
const GAP_MS = 2_000;

/** What reading a ledger over the network needs. */
export interface RemoteLedgerArgs {
  /** Reads its text. @throws if it cannot be read. */
  readonly read: (signal: AbortSignal) => Promise<string>;
  /** Its address without credentials, for the worker's own log. A copy of another address is not used. */
  readonly address: string;
  readonly paths: {
    /** The last text that could be used. */
    readonly copy: string;
    /** When it was read, and from where. */
    readonly copyFacts: string;
    readonly heads: string;
  };
  readonly refreshMs: number;
  readonly maxAgeMs: number;
  /** Wall clock: the age counts also after a restart. */
  readonly clock: Clock;
  readonly sleep: Sleep;
  readonly log: Pick<Logger, "error" | "info">;
}

const CopyFacts = z.object({ address: z.string(), readAt: z.iso.datetime(), sha256: z.string() });

/** Text of a time limit: `24 h`, `90 s`. */
function timeText(ms: number): string {
  const units = [
    [3_600_000, "h"],
    [60_000, "min"],
  ] as const;
  const unit = units.find(([size]) => ms >= size && ms % size === 0);
  return unit === undefined ? `${Math.round(ms / 1_000)} s` : `${ms / unit[0]} ${unit[1]}`;
}

function unavailable(copy: string): string {
  return `This worker cannot read the ledger of signed specs now, and ${copy}. The run waits. The worker's log says why; \`towpath doctor --config FILE\` on its machine checks "ledger".`;
}

/**
 * A ledger that is read again and again in the background. If that fails, the last copy stays in force until it is `maxAgeMs` old.
 * The copy is on disk, so that a restart changes nothing.
 */
class RemoteLedger implements LedgerBook {
  readonly #args: RemoteLedgerArgs;
  readonly #closing = new AbortController();
  #specs: SignedSpecs | null = null;
  #text: string | null = null;
  #readAtMs = Number.NEGATIVE_INFINITY;
  /** Why the last read failed. Null: it did not. */
  #fault: string | null = null;
  #beganMs = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | null = null;
  /** The read that has not begun yet, and its end. */
  #next: Promise<void> | null = null;
  #loop: Promise<void> | null = null;

  constructor(args: RemoteLedgerArgs) {
    this.#args = args;
  }

  /** Takes the copy on disk, reads once, and goes on in the background. Never rejects for a ledger that cannot be read. */
  async open(): Promise<void> {
    await this.#takeCopy();
    await this.#read();
    this.#loop = this.#goOn();
  }

  async current(): Promise<SignedSpecs> {
    return this.#usable() ?? (await this.latest());
  }

  async latest(): Promise<SignedSpecs> {
    this.#next ??= this.#readNext();
    await this.#next;
    const specs = this.#usable();
    if (specs !== null && this.#fault === null) return specs;
    if (specs === null)
      throw new NoLedger(unavailable(`has no copy that is newer than ${timeText(this.#args.maxAgeMs)}`));
    throw new Refusal("ledger-unavailable", unavailable("its copy is without this version"));
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.allSettled([this.#loop, this.#next, this.#reading]);
  }

  #usable(): SignedSpecs | null {
    // A clock that was set back makes no copy newer than new.
    const ageMs = this.#args.clock.nowMs() - this.#readAtMs;
    return ageMs <= this.#args.maxAgeMs ? this.#specs : null;
  }

  /** A read that begins after this call: one that is under way may have begun before the caller's line was written. */
  async #readNext(): Promise<void> {
    const restMs = this.#beganMs + GAP_MS - this.#args.clock.nowMs();
    // It pauses in any case: its caller must first have noted it in `#next`.
    await this.#pause(Math.max(0, Math.min(restMs, GAP_MS)));
    while (this.#reading !== null) await this.#reading;
    // Who asks from here on needs the one after it.
    this.#next = null;
    await this.#read();
  }

  async #pause(ms: number): Promise<void> {
    // A stop ends the pause.
    await this.#args.sleep(ms, this.#closing.signal).catch(() => undefined);
  }

  async #goOn(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      await this.#pause(this.#args.refreshMs);
      if (!this.#closing.signal.aborted) await this.#read();
    }
  }

  /** One read at a time. Never rejects. */
  #read(): Promise<void> {
    this.#reading ??= this.#readNow().finally(() => {
      this.#reading = null;
    });
    return this.#reading;
  }

  async #readNow(): Promise<void> {
    const { clock, read } = this.#args;
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(READ_MS)]);
    const beganMs = clock.nowMs();
    this.#beganMs = beganMs;
    try {
      await this.#take(await read(signal), beganMs);
      this.#say(null);
    } catch (error) {
      if (!this.#closing.signal.aborted) this.#say(describe(error, signal));
    }
  }

  /** Checks a text and puts it in force. @throws LedgerError | StateError for one that must not be used. */
  async #take(text: string, readAtMs: number): Promise<void> {
    const { address, paths, log } = this.#args;
    if (text !== this.#text) {
      const ledger = parseLedger(text);
      const seen = { ledger, heads: paths.heads, what: `The ledger at ${address}` };
      await checkSeen(seen);
      // Before the heads: a copy that lacks one of them is not used after a restart.
      await writeFileAtomic(paths.copy, text);
      await extendSeen(seen);
      this.#specs = indexOf(ledger);
      this.#text = text;
      const heads = ledger.heads.map(shortHash);
      log.info({ lines: ledger.lines.length, heads }, "the ledger of signed specs");
    }
    this.#readAtMs = readAtMs;
    const readAt = new Date(readAtMs).toISOString();
    // After the text: a copy without its facts is not used.
    await writeFileAtomic(paths.copyFacts, JSON.stringify({ address, readAt, sha256: sha256Hex(text) }));
  }

  /** Puts the copy of an earlier start in force. One of another address, or a damaged one, is not used. */
  async #takeCopy(): Promise<void> {
    const { address, paths, log } = this.#args;
    try {
      const [text, facts] = [await readFileIfAny(paths.copy), await readFileIfAny(paths.copyFacts)];
      if (text === null || facts === null) return;
      const known = CopyFacts.parse(JSON.parse(facts));
      if (known.address !== address || known.sha256 !== sha256Hex(text)) return;
      const ledger = parseLedger(text);
      await extendSeen({ ledger, heads: paths.heads, what: `The copy ${paths.copy} of the ledger` });
      this.#specs = indexOf(ledger);
      this.#text = text;
      this.#readAtMs = Date.parse(known.readAt);
    } catch (error) {
      log.error({ error: String(error) }, "the copy of the ledger cannot be used, so it is read anew");
    }
  }

  /** Each fault is logged once, and its end. */
  #say(fault: string | null): void {
    const { address, log, maxAgeMs } = this.#args;
    if (fault === this.#fault) return;
    this.#fault = fault;
    if (fault === null) log.info({ address }, "the ledger of signed specs can be read again");
    else if (this.#specs === null)
      log.error(
        { address, error: fault },
        "the ledger cannot be used, and there is no copy: runs wait until it can",
      );
    else
      log.error(
        { address, error: fault, readAt: new Date(this.#readAtMs).toISOString() },
        `the ledger cannot be used; its copy stays in force until it is ${timeText(maxAgeMs)} old, then runs wait`,
      );
  }
}

function describe(error: unknown, signal: AbortSignal): string {
  if (signal.aborted) return `It was not read within ${timeText(READ_MS)}.`;
  if (error instanceof LedgerError) return error.message;
  if (!(error instanceof Error)) return String(error);
  const output = "output" in error && typeof error.output === "string" ? ` (${error.output})` : "";
  return `${"what" in error ? String(error.what) : error.message}${output}`;
}

/** Opens a ledger over the network. If it cannot be read and there is no copy, runs wait until it can. */
export async function openRemoteLedger(args: RemoteLedgerArgs): Promise<LedgerBook> {
  const ledger = new RemoteLedger(args);
  await ledger.open();
  return ledger;
}
