import { stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import type { JobAnswer, JobAsk } from "@towpath/contract";
import type { NumberedAnswer, RunnerProcess } from "../launch/index.ts";

/** How many questions one process answers at once: most of the time it waits for a backend. */
const AT_ONCE = 32;
/** How long an answer may take, milliseconds: longer than the process itself gives a job's code. */
const ANSWER_MS = 90_000;

/** The process ended, or was killed because it did not answer. This says nothing of the job. */
export class PollerGone extends Error {
  override readonly name = "PollerGone";
}

interface Question {
  readonly ask: JobAsk;
  readonly answer: PromiseWithResolvers<JobAnswer>;
}

/** A process that asks about external jobs, with the code of one version of a deployment. */
export class Poller {
  readonly #runner: RunnerProcess;
  readonly #waiting: Question[] = [];
  readonly #open = new Map<number, Question & { readonly timer: NodeJS.Timeout }>();
  #numbers = 0;
  #gone: PollerGone | null = null;

  constructor(runner: RunnerProcess) {
    this.#runner = runner;
    runner.hear((message) => this.#answered(message as NumberedAnswer));
    void runner.exited.then(() => this.#end("The process that polls jobs has ended."));
  }

  /** The user that it runs as. Null: the worker's. */
  get user(): RunnerProcess["user"] {
    return this.#runner.user;
  }

  /** Whether it still answers. */
  get lives(): boolean {
    return this.#gone === null;
  }

  /** Asks about one job. @throws PollerGone */
  async ask(ask: JobAsk): Promise<JobAnswer> {
    if (this.#gone !== null) throw this.#gone;
    const answer = Promise.withResolvers<JobAnswer>();
    this.#waiting.push({ ask, answer });
    this.#next();
    return await answer.promise;
  }

  /** Ends the process, with its child processes. */
  async close(): Promise<void> {
    this.#end("The process that polls jobs is being stopped.");
    await this.#runner.discard();
  }

  #next(): void {
    while (this.#open.size < AT_ONCE) {
      const question = this.#waiting.shift();
      if (question === undefined) return;
      const number = ++this.#numbers;
      // If it cannot be removed, the next one that needs a process closes it again and says why.
      const timer = setTimeout(() => void this.close().catch(() => {}), ANSWER_MS);
      this.#open.set(number, { ...question, timer });
      this.#runner.send({ number, ask: question.ask });
    }
    // The output of its code belongs to no run. It must only not fill the disk.
    void cutFile(this.#runner.dir);
  }

  #answered({ number, told }: NumberedAnswer): void {
    const question = this.#open.get(number);
    if (question === undefined) return;
    this.#open.delete(number);
    clearTimeout(question.timer);
    question.answer.resolve(told);
    this.#next();
  }

  #end(why: string): void {
    if (this.#gone !== null) return;
    this.#gone = new PollerGone(why);
    for (const { timer } of this.#open.values()) clearTimeout(timer);
    for (const { answer } of [...this.#open.values(), ...this.#waiting]) answer.reject(this.#gone);
    this.#open.clear();
    this.#waiting.length = 0;
  }
}

/** How much of a poller's output stays on the disk, bytes. */
const OUTPUT_BYTES = 1024 * 1024;

/** Empties the output files of a poller when they are long. It then writes from their beginning. */
export async function cutFile(dir: string): Promise<void> {
  for (const name of ["stdout", "stderr"]) {
    try {
      const path = join(dir, name);
      if ((await stat(path)).size > OUTPUT_BYTES) await truncate(path);
    } catch {
      // It goes with the process.
    }
  }
}
