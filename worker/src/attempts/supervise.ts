import { LIMITS, type LogLine } from "@towpath/contract";
import { z } from "zod";
import type { Gateway } from "../gateway/index.ts";
import { cleanLine } from "../gateway/index.ts";
import { failpoint } from "../host/failpoint.ts";
import { JournalError } from "../journal/index.ts";
import {
  type CommandExit,
  decideEnding,
  type Ending,
  type ExitStatus,
  markCut,
  type OutputLine,
  startTail,
  type Tail,
} from "../launch/index.ts";
import { redactControl } from "../secrets/index.ts";
import { readFileIfAny } from "../state/atomic-file.ts";
import type { HeldProcess } from "./claimed-attempt.ts";
import { cleanUp } from "./clean-up.ts";
import { type AttemptDeps, instant } from "./deps.ts";
import { outputLineBytes, type Running } from "./flow-host.ts";
import { killLeftovers, tellOfEnd } from "./left-behind.ts";
import type { OutputStream } from "./spool.ts";
import { requestStop } from "./stop.ts";
import { watchLease, watchTimeout } from "./watch.ts";

/** How often a full disk is tried again for the end of an attempt, milliseconds. */
const END_RETRY_MS = 5_000;

const CommandExitFile = z.object({
  code: z.int().nullable(),
  signal: z.string().nullable(),
  error: z.string().nullable(),
});

/**
 * Follows a process that has its task until it is gone, and journals how the attempt ended. The same for a process that this
 * worker started and for one that it took over.
 */
export async function supervise(
  deps: AttemptDeps,
  running: Running,
  args: { process: HeldProcess; gateway: Gateway },
): Promise<void> {
  const { claimed } = running;
  const over = new AbortController();
  const streams: readonly OutputStream[] = running.muted ? [] : ["stdout", "stderr"];
  const tails = streams.map((stream) => tailOutput(deps, running, stream));
  watchTimeout(deps, running, over.signal);
  watchLease(deps, running, over.signal);
  const exit = await args.process.exited;
  over.abort();
  const left = await killLeftovers(deps, claimed, { process: args.process, exit });
  await finishTails(deps, running, tails);
  await args.gateway.close();
  const ending = endingOf(deps, running, exit);
  await tellOfEnd(deps, claimed, { ending: await ending(), pid: args.process.identity.pid, left });
  await cleanUp(deps, running, await ending());
  await conclude(deps, running, ending);
}

/** Journals the end, or leaves an attempt that is no longer ours without a word. */
async function conclude(deps: AttemptDeps, running: Running, ending: EndingNow): Promise<void> {
  const { claimed } = running;
  if (claimed.stop === "abandoned") {
    await claimed.moveOn("abandon");
    await claimed.dispose();
    return;
  }
  await journalEndPatiently(deps, running, ending);
  failpoint("end");
  await claimed.moveOn("close");
  deps.events.pending();
  deps.log.info({ attempt: claimed.name }, "an attempt has ended");
}

/** The end is what matters most, so a full disk is waited out; leases go on, and the run shows as running meanwhile. */
async function journalEndPatiently(deps: AttemptDeps, running: Running, ending: EndingNow): Promise<void> {
  while (!running.spool.terminated) {
    try {
      await journalEnd(deps, running, await ending());
    } catch (error) {
      if (!(error instanceof JournalError) || !error.retryable) throw error;
      const facts = { attempt: running.claimed.name, error: error.message };
      deps.log.error(facts, "an attempt has ended, but there is no room to journal it; it is tried again");
      await deps.sleep(END_RETRY_MS);
    }
  }
}

/** How an attempt has ended, as it stands: somebody may cancel it until that is journaled. */
type EndingNow = () => Promise<Ending>;

/** A kill of the kernel's is claimed for this attempt once, however often it is asked. */
function endingOf(deps: AttemptDeps, { claimed, file }: Running, exit: ExitStatus): EndingNow {
  let oomKilled: boolean | undefined;
  return async () =>
    decideEnding({
      entry: file.spec.entry.kind,
      outcome: claimed.file?.outcome ?? null,
      commandExit: await readCommandExit(claimed.files.exitFile),
      exit,
      stop: claimed.stop,
      oomKilled: () => {
        oomKilled ??= deps.oom.claimKill();
        return oomKilled;
      },
    });
}

async function journalEnd(deps: AttemptDeps, running: Running, ending: Ending): Promise<void> {
  const { spool, prepared } = running;
  await spool.flushGaps();
  await spool.control(
    redactControl(prepared.redactor, {
      type: "ended",
      at: instant(deps.clock),
      ...ending,
      lastBulkSeq: spool.lastBulkSeq,
    }),
  );
}

async function readCommandExit(path: string): Promise<CommandExit | null> {
  try {
    const text = await readFileIfAny(path);
    return text === null ? null : CommandExitFile.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

function tailOutput(deps: AttemptDeps, running: Running, stream: OutputStream): Tail {
  const { claimed, spool } = running;
  return startTail(deps, {
    path: claimed.files[stream],
    fromBytes: spool.outputTaken(stream),
    lineBytes: outputLineBytes(running.prepared),
    async take(lines, throughBytes) {
      const at = instant(deps.clock);
      await spool.output({
        stream,
        lines: lines.map((line) => outputLine(running, { at, stream, line })),
        throughBytes,
      });
      deps.events.pending();
    },
    async skip(lines, throughBytes) {
      await spool.skipped({ stream, lines, throughBytes });
      deps.events.pending();
    },
    tooLong: () => requestStop(deps, claimed, { reason: "output-too-long" }),
  });
}

function outputLine(
  { prepared }: Running,
  args: { at: string; stream: OutputStream; line: OutputLine },
): LogLine {
  const { at, stream, line } = args;
  const level = stream === "stderr" ? "warn" : "info";
  if (!line.truncated) return cleanLine(prepared.redactor, { at, level, stream, text: line.text });
  // The end of what was kept may be half a secret, which no redaction would know.
  const clean = prepared.redactor.text(line.text);
  const safe = clean.slice(0, Math.max(0, clean.length - prepared.redactor.longest));
  return { at, level, stream, text: markCut(safe, LIMITS.logLineBytes) };
}

async function finishTails(deps: AttemptDeps, running: Running, tails: readonly Tail[]): Promise<void> {
  const { claimed } = running;
  for (const tail of tails) {
    try {
      if (claimed.stop === "abandoned") await tail.abandon();
      else await tail.finish();
    } catch (error) {
      deps.log.error({ attempt: claimed.name, error: String(error) }, "output could not be read to its end");
    }
  }
}
