import { readSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { LIMITS, type LogLine, WakeUp } from "@towpath/contract";
import { cleanLine } from "../gateway/index.ts";
import { JournalError } from "../journal/index.ts";
import { lineLevel, markCut, type OutputLine, startTail, type Tail } from "../launch/index.ts";
import { openIfAny } from "../state/atomic-file.ts";
import type { ClaimedAttempt } from "./claimed-attempt.ts";
import { type AttemptDeps, instant } from "./deps.ts";
import type { Prepared } from "./prepare.ts";
import type { FlowBatch, OutputStream, PrintedLines, ReadPrinted, Spool } from "./spool.ts";

const STREAMS = ["stdout", "stderr"] as const satisfies OutputStream[];
/** How long printed lines wait for log lines that were written before them, milliseconds. */
const LOG_WAIT_MS = { running: 2_000, ended: 100 } as const;
/** The time of a file's last write counts if it is at most so long ago, milliseconds. Otherwise its clock is another. */
const WRITTEN_MS = 60_000;
/** With more unread output than this, log lines no longer wait until it is read. */
const ORDERED_BYTES = 8 * 1024 * 1024;

/** The attempt whose output is read. */
interface OutputOf {
  readonly claimed: ClaimedAttempt;
  readonly spool: Spool;
  readonly prepared: Pick<Prepared, "redactor">;
}

/**
 * The lines of one attempt: what its process prints into files, and what its flow logs through the gateway, in the
 * order in which the process wrote them.
 *
 * A log line says how much the process had printed before it, and that is read first. A printed line waits for the log
 * lines that the flow had written when the line was seen: the flow notes the number of the newest one in a file.
 */
export class AttemptOutput {
  readonly #deps: AttemptDeps;
  readonly #of: OutputOf;
  readonly #newest: NewestLineFile;
  readonly #taken = { stdout: new WakeUp(), stderr: new WakeUp() };
  #tails: Record<OutputStream, Tail> | null = null;
  #turn: Promise<unknown> = Promise.resolve();
  #hasEnded = false;
  /** Printed lines waited too long for the log lines up to this number. */
  #overdue = 0;
  /** The time of the newest line. No line is older than the line before it. */
  #newestAt = "";

  constructor(deps: AttemptDeps, of: OutputOf) {
    this.#deps = deps;
    this.#of = of;
    this.#newest = new NewestLineFile(of.claimed.store.files.newestLineFile);
  }

  /** Begins to read the files, which exist. */
  start(): void {
    this.#tails ??= { stdout: this.#tail("stdout"), stderr: this.#tail("stderr") };
  }

  /** Journals what the flow sent. @throws JournalError when the control lane has no room. */
  async take(batch: FlowBatch): Promise<void> {
    try {
      await this.#inTurn(() => this.#of.spool.flow(batch, this.#readPrinted));
    } finally {
      this.#wake();
    }
  }

  /** Reads the files to their end, after the process has ended. */
  async finish(): Promise<void> {
    this.#hasEnded = true;
    this.#wake();
    const { claimed } = this.#of;
    for (const tail of Object.values(this.#tails ?? {})) {
      try {
        if (claimed.stop === "abandoned") await tail.abandon();
        else await tail.finish();
      } catch (error) {
        const facts = { attempt: claimed.name, error: String(error) };
        this.#deps.log.error(facts, "output could not be read to its end");
      }
    }
    await this.#newest.close();
  }

  #tail(stream: OutputStream): Tail {
    const { claimed, spool, prepared } = this.#of;
    const { log, bootClock, clock, wake } = this.#deps;
    let seenAt: string | null = null;
    return startTail(this.#deps, {
      path: claimed.store.files[stream],
      fromBytes: spool.outputTaken(stream),
      lineBytes: outputLineBytes(prepared),
      beforeReading: async (writtenAtMs) => {
        seenAt = this.#writtenAt(writtenAtMs);
        const fromMs = bootClock.nowMs();
        await this.#untilLogged(stream);
        const waitedMs = bootClock.nowMs() - fromMs;
        if (waitedMs >= LOG_WAIT_MS.running)
          log.debug(
            { attempt: claimed.name, stream, waitedMs },
            "printed lines no longer wait for log lines",
          );
      },
      inTurn: async (step) => void (await this.#inTurn(step)),
      take: async (lines, throughBytes) => {
        await spool.output(this.#printed({ stream, lines, throughBytes, at: seenAt ?? instant(clock) }));
        wake.report();
      },
      skip: async (lines, throughBytes) => {
        await spool.skipped({ stream, lines, throughBytes });
        wake.report();
      },
      tooLong: () => claimed.requestStop({ reason: "output-too-long" }),
    });
  }

  /** Waits until the journal has the log lines that the flow has written by now. */
  async #untilLogged(stream: OutputStream): Promise<void> {
    const seq = await this.#newest.read();
    const { bootClock, sleep } = this.#deps;
    let hasEnded = this.#hasEnded;
    let fromMs = bootClock.nowMs();
    while (this.#of.spool.flowTaken < seq && this.#overdue < seq) {
      // What a process sent just before its end may still be on its way.
      if (hasEnded !== this.#hasEnded) [hasEnded, fromMs] = [this.#hasEnded, bootClock.nowMs()];
      const mostMs = hasEnded ? LOG_WAIT_MS.ended : LOG_WAIT_MS.running;
      const leftMs = fromMs + mostMs - bootClock.nowMs();
      if (leftMs <= 0) this.#overdue = seq;
      else await this.#taken[stream].wait(leftMs, undefined, sleep);
    }
  }

  #readPrinted: ReadPrinted = async ({ item, printed }, take) => {
    this.start();
    const now = instant(this.#deps.clock);
    const at = "at" in item && item.at < now ? item.at : now;
    for (const stream of STREAMS) {
      try {
        await this.#tails?.[stream].readTo(printed[stream], {
          take: (lines, throughBytes) => take(this.#printed({ stream, lines, throughBytes, at })),
          mostBytes: ORDERED_BYTES,
        });
      } catch (error) {
        if (error instanceof JournalError) throw error;
        const facts = { attempt: this.#of.claimed.name, error: String(error) };
        this.#deps.log.error(facts, "output could not be read before a log line");
      }
    }
    if (at > this.#newestAt) this.#newestAt = at;
  };

  /** The time at which a file's newest output was written. A log line that came after it has a later time. */
  #writtenAt(writtenAtMs: number): string {
    const { clock } = this.#deps;
    const agoMs = clock.nowMs() - writtenAtMs;
    return agoMs >= 0 && agoMs < WRITTEN_MS ? new Date(writtenAtMs).toISOString() : instant(clock);
  }

  #printed(args: {
    stream: OutputStream;
    lines: readonly OutputLine[];
    throughBytes: number;
    at: string;
  }): PrintedLines {
    const { stream, lines, throughBytes } = args;
    const at = args.at > this.#newestAt ? args.at : this.#newestAt;
    return { stream, throughBytes, lines: lines.map((line) => this.#line({ at, stream, line })) };
  }

  #line({ at, stream, line }: { at: string; stream: OutputStream; line: OutputLine }): LogLine {
    const { redactor } = this.#of.prepared;
    const level = lineLevel(line.text);
    if (!line.truncated) return cleanLine(redactor, { at, level, stream, text: line.text });
    // The kept text may end in half a secret, which no redaction would find.
    const clean = redactor.text(line.text);
    const safe = clean.slice(0, Math.max(0, clean.length - redactor.longest));
    return { at, level, stream, text: markCut(safe, LIMITS.logLineBytes) };
  }

  /** One after the other: a batch and its output are one step, as is each piece that a tail reads. */
  async #inTurn<T>(step: () => Promise<T>): Promise<T> {
    const own = this.#turn.then(step);
    this.#turn = own.catch(() => {});
    return await own;
  }

  #wake(): void {
    for (const stream of STREAMS) this.#taken[stream].wake();
  }
}

/** The file in which the flow notes the number of its newest log line. */
class NewestLineFile {
  readonly #path: string;
  readonly #bytes = Buffer.alloc(8);
  #file: FileHandle | null = null;

  constructor(path: string) {
    this.#path = path;
  }

  /** @returns The number; 0 before the first line, or if the process notes none. */
  async read(): Promise<number> {
    try {
      this.#file ??= await openIfAny(this.#path);
      // 8 bytes of a file in memory: faster than a turn in the thread pool.
      if (this.#file === null || readSync(this.#file.fd, this.#bytes, 0, 8, 0) < 8) return 0;
      return Number(this.#bytes.readBigUInt64LE());
    } catch {
      return 0;
    }
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = null;
  }
}

/** The most bytes of one line that a tail keeps. They leave room for a secret at the cut. */
export function outputLineBytes(prepared: Pick<Prepared, "redactor">): number {
  return LIMITS.logLineBytes + prepared.redactor.longest * 4;
}
