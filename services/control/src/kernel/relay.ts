import { randomUUID } from "node:crypto";
import { LIMITS, Problem, STORED_FILE_CHARS, WakeUp } from "@towpath/contract";
import type { Logger } from "pino";
import type { Sql } from "postgres";
import { z } from "zod";
import { textArray } from "./prepared.ts";

/** A question for a worker, as its poll gets it. */
export interface AskedWorker {
  readonly id: string;
  readonly text: string;
}

/** The answer of a worker. */
export interface WorkerAnswer {
  readonly workerId: string;
  readonly text: string;
}

/** Which worker of which workspace. */
export interface WorkerName {
  readonly workspaceId: string;
  readonly workerId: string;
}

/** A question that somebody of this process waits for. */
export interface Question {
  /** Asks one worker, or the same one again. */
  ask(workerId: string): void;
  /** The next answer of any asked worker. Null: none came in this time, or the signal aborted. */
  hear(args: { readonly waitMs: number; readonly signal: AbortSignal }): Promise<WorkerAnswer | null>;
  close(): void;
}

/**
 * Questions to workers and their answers, between any processes of the control plane. Question and answer are in memory and in NOTIFY
 * alone, never in a table. A lost message costs its asker a repetition.
 */
export interface Relay {
  /**
   * Opens a question.
   * @throws Problem `too-many-requests` if too many questions of the workspace or of this process are open.
   */
  open(args: { readonly workspaceId: string; readonly text: string }): Question;
  /** Questions for a worker that no poll at this process got, once there are any. A newer poll of the worker ends this one. */
  poll(
    worker: WorkerName,
    args: { readonly waitMs: number; readonly most: number; readonly signal: AbortSignal },
  ): Promise<AskedWorker[]>;
  /** Passes an answer to its asker. @returns whether this process knows the question, and the worker was asked. */
  answer(worker: WorkerName, answer: AskedWorker): Promise<boolean>;
  close(): Promise<void>;
}

/** The limits of a relay. */
export interface RelayLimits {
  /** Open questions of one workspace in this process. */
  readonly perWorkspace: number;
  /** Open questions in this process. */
  readonly inProcess: number;
  /** The longest answer, characters of ASCII. */
  readonly answerChars: number;
  /** How long other processes remember a question, milliseconds. */
  readonly openMs: number;
  /** The most questions that this process remembers for polls. */
  readonly heard: number;
  /** The most of them of one workspace. */
  readonly heardPerWorkspace: number;
}

const RELAY_LIMITS: RelayLimits = {
  perWorkspace: LIMITS.storedReads,
  inProcess: 128,
  answerChars: STORED_FILE_CHARS + 1024,
  openMs: LIMITS.storedWaitMs,
  heard: 10_000,
  heardPerWorkspace: 1_000,
};

/** All processes hear questions here. */
const EVERYONE = "towpath_ask";
/** NOTIFY refuses payloads of 8000 bytes. Answers are ASCII: this leaves room for the rest of the message. */
const PART_CHARS = 7_600;
/** How long an answer waits for its question, which may still be on its way to this process, milliseconds. */
const ARRIVES_MS = 1_000;

const Asking = z.object({
  from: z.string(),
  id: z.uuid(),
  workspaceId: z.string(),
  workerId: z.string(),
  text: z.string(),
});
type Asking = z.infer<typeof Asking>;

const Part = z.object({
  id: z.uuid(),
  workerId: z.string(),
  /** Tells two answers of one worker apart. */
  answer: z.uuid(),
  index: z.int().min(0),
  of: z.int().min(1),
});
/** A part of an answer. Its message is this as JSON, a line feed, and the text as it is, so that its length is known. */
type Part = z.infer<typeof Part> & { readonly text: string };

function encodePart({ text, ...head }: Part): string {
  return `${JSON.stringify(head)}\n${text}`;
}

function decodePart(payload: string): Part | null {
  const end = payload.indexOf("\n");
  const head = parsed(Part, payload.slice(0, end));
  return head && { ...head, text: payload.slice(end + 1) };
}

/** A question as any process remembers it for the polls of the asked worker. */
interface Heard extends Asking {
  isGiven: boolean;
  readonly forget: NodeJS.Timeout;
}

/** An open question of this process. */
class Open implements Question {
  readonly workspaceId: string;
  readonly #came: WorkerAnswer[] = [];
  readonly #wakeUp = new WakeUp();
  readonly #parts = new Map<string, string[]>();
  readonly #asked = new Set<string>();
  readonly #partsMax: number;
  readonly #send: (workerId: string) => void;
  readonly close: () => void;

  constructor(args: {
    workspaceId: string;
    partsMax: number;
    send: (workerId: string) => void;
    close: () => void;
  }) {
    this.workspaceId = args.workspaceId;
    this.#partsMax = args.partsMax;
    this.#send = args.send;
    this.close = args.close;
  }

  ask(workerId: string): void {
    this.#asked.add(workerId);
    this.#send(workerId);
  }

  async hear(args: { waitMs: number; signal: AbortSignal }): Promise<WorkerAnswer | null> {
    if (this.#came.length === 0) await this.#wakeUp.wait(args.waitMs, args.signal);
    return this.#came.shift() ?? null;
  }

  take(answer: WorkerAnswer): void {
    if (!this.#asked.has(answer.workerId)) return;
    this.#came.push(answer);
    this.#wakeUp.wake();
  }

  /** Takes a part of an answer. Parts that are missing make the whole answer missing, and the question is asked again. */
  takePart({ workerId, answer, index, of, text }: Part): void {
    if (of > this.#partsMax || index >= of) return;
    if (index === 0) {
      // An answer that did not arrive whole is over when the worker sends another.
      for (const name of this.#parts.keys()) if (name.startsWith(workerId)) this.#parts.delete(name);
      this.#parts.set(`${workerId} ${answer}`, []);
    }
    const parts = this.#parts.get(`${workerId} ${answer}`);
    // One transaction sends them in order.
    if (parts === undefined || parts.length !== index) return;
    parts.push(text);
    if (parts.length < of) return;
    this.#parts.delete(`${workerId} ${answer}`);
    this.take({ workerId, text: parts.join("") });
  }
}

const keyOf = ({ workspaceId, workerId }: WorkerName) => `${workspaceId} ${workerId}`;

function partsOf(text: string): string[] {
  const count = Math.max(1, Math.ceil(text.length / PART_CHARS));
  return Array.from({ length: count }, (_, index) =>
    text.slice(index * PART_CHARS, (index + 1) * PART_CHARS),
  );
}

function parsed<Message>(schema: z.ZodType<Message>, payload: string): Message | null {
  try {
    return schema.parse(JSON.parse(payload));
  } catch {
    return null;
  }
}

class NotifyRelay implements Relay {
  /** The channel of this process, for answers to its questions. */
  readonly #own = `towpath_told_${randomUUID().replaceAll("-", "")}`;
  readonly #open = new Map<string, Open>();
  readonly #heard = new Map<string, Map<string, Heard>>();
  /** The same questions by their workspaces, the oldest first. */
  readonly #ofWorkspaces = new Map<string, Set<Heard>>();
  #heardCount = 0;
  readonly #polls = new Map<string, WakeUp>();
  /** Answers that came before their questions, by the worker and the id. */
  readonly #early = new Map<string, WakeUp>();
  readonly #deps: { readonly sql: Sql; readonly log: Logger };
  readonly #limits: RelayLimits;
  #unlisten: (() => Promise<void>)[] = [];

  constructor(deps: { sql: Sql; log: Logger }, limits: RelayLimits) {
    this.#deps = deps;
    this.#limits = limits;
  }

  async listen(): Promise<void> {
    const { sql } = this.#deps;
    const everyone = await sql.listen(EVERYONE, (payload) => {
      const asking = parsed(Asking, payload);
      // The process that asks has heard it before the database did.
      if (asking !== null && asking.from !== this.#own) this.#hear(asking);
    });
    this.#unlisten = [() => everyone.unlisten()];
    const own = await sql.listen(this.#own, (payload) => {
      const part = decodePart(payload);
      if (part !== null) this.#open.get(part.id)?.takePart(part);
    });
    this.#unlisten.push(() => own.unlisten());
  }

  open({ workspaceId, text }: { workspaceId: string; text: string }): Question {
    const { perWorkspace, inProcess, answerChars } = this.#limits;
    const ofWorkspace = [...this.#open.values()].filter((one) => one.workspaceId === workspaceId).length;
    if (ofWorkspace >= perWorkspace || this.#open.size >= inProcess)
      throw new Problem(
        "too-many-requests",
        `${ofWorkspace} reads of this workspace wait for workers; ${perWorkspace} may wait at once. Try again when one has ended.`,
        { retryAfterMs: 1_000 },
      );
    const id = randomUUID();
    const question = new Open({
      workspaceId,
      partsMax: Math.ceil(answerChars / PART_CHARS),
      close: () => this.#open.delete(id),
      send: (workerId) => {
        const asking: Asking = { from: this.#own, id, workspaceId, workerId, text };
        this.#hear(asking);
        void this.#notify(EVERYONE, [JSON.stringify(asking)]);
      },
    });
    this.#open.set(id, question);
    return question;
  }

  async poll(
    worker: WorkerName,
    args: { waitMs: number; most: number; signal: AbortSignal },
  ): Promise<AskedWorker[]> {
    const key = keyOf(worker);
    const wakeUp = new WakeUp();
    this.#polls.get(key)?.wake();
    this.#polls.set(key, wakeUp);
    try {
      const found = this.#give(key, args.most);
      if (found.length > 0 || args.waitMs === 0) return found;
      await wakeUp.wait(args.waitMs, args.signal);
      // A newer poll, or nobody, would get what this one takes now.
      const isCurrent = this.#polls.get(key) === wakeUp && !args.signal.aborted;
      return isCurrent ? this.#give(key, args.most) : [];
    } finally {
      if (this.#polls.get(key) === wakeUp) this.#polls.delete(key);
    }
  }

  async answer(worker: WorkerName, { id, text }: AskedWorker): Promise<boolean> {
    if (text.length > this.#limits.answerChars) return false;
    const heard = await this.#heardBy(worker, id);
    if (heard === undefined) return false;
    this.#forget(heard);
    const { workerId } = worker;
    if (heard.from === this.#own) {
      this.#open.get(id)?.take({ workerId, text });
      return this.#open.has(id);
    }
    const answer = randomUUID();
    const parts = partsOf(text);
    const messages = parts.map(
      (part, index): Part => ({ id, workerId, answer, index, of: parts.length, text: part }),
    );
    return await this.#notify(heard.from, messages.map(encodePart));
  }

  async close(): Promise<void> {
    for (const wakeUp of [...this.#polls.values(), ...this.#early.values()]) wakeUp.wake();
    for (const byId of [...this.#heard.values()]) for (const heard of [...byId.values()]) this.#forget(heard);
    await Promise.all(this.#unlisten.map((unlisten) => unlisten().catch(() => {})));
  }

  async #heardBy(worker: WorkerName, id: string): Promise<Heard | undefined> {
    const key = keyOf(worker);
    const find = () => this.#heard.get(key)?.get(id);
    const name = `${key} ${id}`;
    if (find() === undefined && this.#early.size < this.#limits.heard && !this.#early.has(name)) {
      const wakeUp = new WakeUp();
      this.#early.set(name, wakeUp);
      await wakeUp.wait(ARRIVES_MS);
      this.#early.delete(name);
    }
    return find();
  }

  #hear(asking: Asking): void {
    const key = keyOf(asking);
    const before = this.#heard.get(key)?.get(asking.id);
    if (before !== undefined) this.#forget(before);
    this.#makeRoom(asking.workspaceId);
    const byId = this.#heard.get(key) ?? new Map<string, Heard>();
    const forget = setTimeout(() => this.#forget(heard), this.#limits.openMs);
    forget.unref();
    const heard: Heard = { ...asking, isGiven: false, forget };
    this.#heard.set(key, byId.set(asking.id, heard));
    const ofWorkspace = this.#ofWorkspaces.get(asking.workspaceId) ?? new Set<Heard>();
    this.#ofWorkspaces.set(asking.workspaceId, ofWorkspace.add(heard));
    this.#heardCount += 1;
    this.#early.get(`${key} ${asking.id}`)?.wake();
    this.#polls.get(key)?.wake();
  }

  #forget(heard: Heard): void {
    clearTimeout(heard.forget);
    const key = keyOf(heard);
    const byId = this.#heard.get(key);
    if (byId?.get(heard.id) !== heard) return;
    byId.delete(heard.id);
    this.#heardCount -= 1;
    if (byId.size === 0) this.#heard.delete(key);
    const ofWorkspace = this.#ofWorkspaces.get(heard.workspaceId);
    ofWorkspace?.delete(heard);
    if (ofWorkspace?.size === 0) this.#ofWorkspaces.delete(heard.workspaceId);
  }

  /**
   * Forgets the oldest question of a workspace that has its share. If the process has its share, it forgets one of the workspace with the
   * most, so that no workspace pushes out the few questions of another. A reader that still waits for a forgotten question asks it again.
   */
  #makeRoom(workspaceId: string): void {
    const { heard, heardPerWorkspace } = this.#limits;
    const own = this.#ofWorkspaces.get(workspaceId);
    if (own !== undefined && own.size >= heardPerWorkspace) this.#forgetOldest(own);
    if (this.#heardCount < heard) return;
    const fullest = [...this.#ofWorkspaces.values()].reduce((most, one) =>
      one.size > most.size ? one : most,
    );
    this.#forgetOldest(fullest);
  }

  #forgetOldest(questions: ReadonlySet<Heard>): void {
    for (const oldest of questions) {
      this.#forget(oldest);
      return;
    }
  }

  #give(key: string, most: number): AskedWorker[] {
    const waiting = [...(this.#heard.get(key)?.values() ?? [])].filter(({ isGiven }) => !isGiven);
    return waiting.slice(0, most).map((heard) => {
      heard.isGiven = true;
      return { id: heard.id, text: heard.text };
    });
  }

  /** @returns whether the database took the messages. */
  async #notify(channel: string, payloads: readonly string[]): Promise<boolean> {
    const { sql, log } = this.#deps;
    try {
      await sql`select pg_notify(${channel}, payload) from unnest(${textArray(payloads)}::text[]) as payload`;
      return true;
    } catch (error) {
      log.warn({ err: error }, "a message between processes was lost; its reader asks again");
      return false;
    }
  }
}

/** Opens the relay of this process. */
export async function openRelay(
  deps: { sql: Sql; log: Logger },
  limits: RelayLimits = RELAY_LIMITS,
): Promise<Relay> {
  const relay = new NotifyRelay(deps, limits);
  await relay.listen();
  return relay;
}
