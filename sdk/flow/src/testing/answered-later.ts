import { appendFileSync, readFileSync } from "node:fs";
import type { AskedWait, Json } from "@towpath/contract";
import { DEFAULTS } from "@towpath/contract/words";
import type { WaitHost } from "../engine/host.ts";
import { answered, nameOf } from "./answers.ts";

/** The values in a file of JSON lines; none if there is no file. An incomplete last line is skipped. */
export function readLines<Line>(path: string): Line[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return [];
  }
  return text
    .slice(0, text.lastIndexOf("\n") + 1)
    .split("\n")
    .filter((line) => line !== "")
    .map((line): Line => JSON.parse(line));
}

/** A wait of a run, as an entry in the file that outlives its processes. */
export interface AskedLine {
  readonly path: string;
  readonly attempt: number;
  readonly kind: AskedWait["kind"];
  /** The name for answers: a question's title, an event's name and key, or a run's id. */
  readonly name: string;
}

/** All waits of the run with this journal. */
export function readAsked(journal: string): AskedLine[] {
  return readLines(askedFile(journal));
}

const askedFile = (journal: string) => `${journal}.asked`;

/**
 * Waits without a control plane. A wait is open in the attempt that starts it, so that the run is suspended, and
 * answered from the next attempt on. Timed waits of earlier attempts have ended. The process polls jobs itself.
 */
export function answeredLater(
  own: WaitHost,
  args: {
    readonly journal: string;
    readonly attempt: number;
    readonly answers: { readonly [name: string]: Json };
  },
): WaitHost {
  const asked = new Map(readAsked(args.journal).map((line) => [line.path, line]));
  const note = (path: string, wait: AskedWait): AskedLine => {
    const line = { path, attempt: args.attempt, kind: wait.kind, name: nameOf(wait) };
    appendFileSync(askedFile(args.journal), `${JSON.stringify(line)}\n`, { mode: 0o600 });
    asked.set(path, line);
    return line;
  };
  return {
    heard: own.heard,
    suspends: true,
    async ask(call, signal) {
      const { wait } = call.call;
      if (wait.kind === "job") {
        const answer = await own.ask(call, signal);
        return { ...answer, inMs: answer.inMs && Math.min(answer.inMs, DEFAULTS.shortWaitMs) };
      }
      const line = asked.get(call.path) ?? note(call.path, wait);
      const isTime = wait.kind === "for" || wait.kind === "until";
      if (line.attempt === args.attempt) return isTime ? await own.ask(call, signal) : answered(wait, {});
      return isTime ? { ...answered(wait, {}), state: "satisfied" } : answered(wait, args.answers);
    },
  };
}
