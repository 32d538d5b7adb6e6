import {
  type Keyring,
  type LogEntry,
  ORIGINS,
  openKeyring,
  PlainBody,
  Problem,
  SealError,
  type SealedField,
  type StoredArtifactBody,
} from "@towpath/contract";
import type { Client } from "../client.ts";
import { ConnectionFailure, UnexpectedAnswer } from "../failure.ts";
import { pause } from "../repeat.ts";
import type { SealingOptions } from "../sealing/options.ts";

/** Bodies that are fetched at once. */
const AT_ONCE = 4;
/** The most bodies, and characters of them, that are kept for the next lines. */
const KEPT_MAX = 64;
const KEPT_CHARS_MAX = 16 * 1024 * 1024;

/** Why a stored body cannot be shown here. */
export type StoredFault = "no-key" | "unreachable" | "gone" | "refused" | "late" | "busy" | "failed";

/** The fault of each problem. */
const FAULTS: Readonly<Record<string, StoredFault>> = {
  "store-unreachable": "unreachable",
  "stored-gone": "gone",
  "stored-not-found": "gone",
  "stored-refused": "refused",
  "stored-timeout": "late",
  "too-many-requests": "busy",
};

/** What stands in place of the text of a line, by fault. */
const NOTICES: Readonly<Record<StoredFault, string>> = {
  "no-key": "no workspace key",
  unreachable: "no worker with its store is online",
  gone: "its file is no longer in the store",
  refused: "the worker does not send it",
  late: "no worker sent it in time",
  busy: "too many reads at once",
  failed: "it cannot be read",
};

/** A later read may succeed. */
const PASSING: readonly StoredFault[] = ["unreachable", "late", "busy", "failed"];

/** A stored body cannot be shown here. The message says why and what to do next. */
export class StoredUnreadable extends Error {
  override readonly name = "StoredUnreadable";
  readonly fault: StoredFault;

  constructor(fault: StoredFault, sentence: string, options?: ErrorOptions) {
    super(sentence, options);
    this.fault = fault;
  }

  /** A few words for what stands in place of a text. */
  get notice(): string {
    return NOTICES[this.fault];
  }

  /** Whether the same read may succeed later without any change here. */
  get isPassing(): boolean {
    return PASSING.includes(this.fault);
  }
}

/** Lines with their texts. */
export interface OpenedEntries {
  /** In the given order. A line whose text cannot be shown keeps `stored`, and its text is a notice. */
  readonly entries: LogEntry[];
  /** Each reason why texts cannot be shown, once. */
  readonly faults: readonly StoredUnreadable[];
}

/** What a reader of stored bodies needs. */
export interface StoredReaderOptions {
  /** Reads the bodies. */
  readonly client: Pick<Client, "readStored" | "getMe">;
  readonly sealing: SealingOptions;
}

/** A body of the customer's store. */
interface Body {
  readonly runId: string;
  readonly hash: string;
  readonly field: Extract<SealedField, "log" | "artifact">;
  /** A line whose text is in it, `attempt:line`. */
  readonly at?: string;
}

/** The next step for somebody without a key. */
const WITHOUT_KEY =
  "give the workspace key with TOWPATH_WORKSPACE_KEY, or store it with `towpath workspace add-key`";

/**
 * Reads the bodies of log lines and large artifacts that stay in the customer's store. A worker sends each sealed, and this opens it.
 * Bodies of log lines are kept for the next lines; they never change.
 */
export class StoredReader {
  readonly #options: StoredReaderOptions;
  readonly #kept = new Map<string, readonly string[]>();
  readonly #reading = new Map<string, Promise<readonly string[]>>();
  #keptChars = 0;
  #free = AT_ONCE;
  readonly #waiting: (() => void)[] = [];
  #ring: Promise<Keyring> | undefined;
  #workspace: Promise<string> | undefined;

  constructor(options: StoredReaderOptions) {
    this.#options = options;
  }

  /** Fills in the texts of lines whose texts are stored. Each body is fetched once. */
  async entries(runId: string, entries: readonly LogEntry[]): Promise<OpenedEntries> {
    const bodies = new Map<string, Body>();
    for (const entry of entries) {
      if (entry.kind !== "line" || entry.stored === undefined) continue;
      const { hash } = entry.stored;
      if (!bodies.has(hash))
        bodies.set(hash, { runId, hash, field: "log", at: `${entry.attempt}:${entry.line}` });
    }
    const found = new Map<string, readonly string[] | StoredUnreadable>();
    await Promise.all(
      [...bodies.values()].map(async (body) => {
        found.set(body.hash, await this.#texts(body).catch(unreadable));
      }),
    );
    const faults = new Map<string, StoredUnreadable>();
    for (const one of found.values()) if (one instanceof StoredUnreadable) faults.set(one.message, one);
    return { entries: entries.map((entry) => filled(entry, found)), faults: [...faults.values()] };
  }

  /**
   * The body of a large artifact.
   * @throws StoredUnreadable
   */
  async artifact(runId: string, { hash }: Pick<StoredArtifactBody, "hash">): Promise<PlainBody> {
    try {
      const { success, data } = PlainBody.safeParse(await this.#open({ runId, hash, field: "artifact" }));
      if (success) return data;
      throw otherForm();
    } catch (error) {
      throw unreadable(error);
    }
  }

  /**
   * The texts of one body of log lines.
   * @param args.at A line whose text is in it, `attempt:line`.
   * @throws StoredUnreadable
   */
  async texts(runId: string, { hash, at }: { hash: string; at: string }): Promise<readonly string[]> {
    return await this.#texts({ runId, hash, at, field: "log" }).catch((error: unknown) => {
      throw unreadable(error);
    });
  }

  async #texts(body: Body): Promise<readonly string[]> {
    const kept = this.#kept.get(body.hash);
    if (kept !== undefined) return kept;
    const reading =
      this.#reading.get(body.hash) ??
      this.#open(body)
        .then((value) => this.#keep(body.hash, value))
        .finally(() => this.#reading.delete(body.hash));
    this.#reading.set(body.hash, reading);
    return await reading;
  }

  #keep(hash: string, value: unknown): readonly string[] {
    if (!Array.isArray(value) || !value.every((text) => typeof text === "string")) throw otherForm();
    const chars = value.reduce((sum, text) => sum + text.length, 0);
    this.#keptChars += chars;
    if (this.#kept.size >= KEPT_MAX || this.#keptChars > KEPT_CHARS_MAX) {
      this.#kept.clear();
      this.#keptChars = chars;
    }
    this.#kept.set(hash, value);
    return value;
  }

  async #open({ runId, hash, field, at }: Body): Promise<unknown> {
    const ring = await this.#keyring();
    this.#workspace ??= this.#workspaceId();
    this.#workspace.catch(() => {
      this.#workspace = undefined;
    });
    const workspace = await this.#workspace;
    const { client } = this.#options;
    const input = { params: { runId, hash }, query: at === undefined ? {} : { at } };
    const { sealed } = await this.#inTurn(() => untilFree(() => client.readStored(input, { retries: 1 })));
    if ((await sha256(sealed)) !== hash)
      throw new StoredUnreadable(
        "refused",
        "The control plane sent another file than the requested one. Ask its operator why.",
      );
    return JSON.parse(await ring.unseal(sealed, { workspace, field, origins: [ORIGINS.run(runId)] }));
  }

  /** @throws StoredUnreadable `no-key` */
  async #keyring(): Promise<Keyring> {
    const { keys, withoutKey = WITHOUT_KEY } = this.#options.sealing;
    const [first, ...others] = typeof keys === "function" ? await keys() : keys;
    if (first === undefined)
      throw new StoredUnreadable("no-key", `There is no workspace key here to open it with: ${withoutKey}.`);
    this.#ring ??= openKeyring([first, ...others]);
    this.#ring.catch(() => {
      this.#ring = undefined;
    });
    return await this.#ring;
  }

  async #workspaceId(): Promise<string> {
    const { client, sealing } = this.#options;
    return sealing.workspace ?? (await client.getMe()).workspace.id;
  }

  async #inTurn<Value>(read: () => Promise<Value>): Promise<Value> {
    if (this.#free === 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#free -= 1;
    try {
      return await read();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }
}

/** How often a read is repeated while workers answer too many others, and the pause before, milliseconds. */
const BUSY_TRIES = 90;
const BUSY_MS = 1_000;

/** Repeats a read while the control plane or the worker has too many. A long log has more bodies than a worker sends in a minute. */
async function untilFree<Value>(read: () => Promise<Value>): Promise<Value> {
  for (let tries = 0; ; tries++) {
    try {
      return await read();
    } catch (error) {
      const isBusy = error instanceof Problem && error.code === "too-many-requests";
      if (!isBusy || tries >= BUSY_TRIES) throw error;
      await pause(BUSY_MS, undefined);
    }
  }
}

/** Whether any entry's text must be read from the customer's store. */
export function hasStored(entries: readonly LogEntry[]): boolean {
  return entries.some((entry) => entry.kind === "line" && entry.stored !== undefined);
}

function filled(entry: LogEntry, found: ReadonlyMap<string, readonly string[] | StoredUnreadable>): LogEntry {
  if (entry.kind !== "line" || entry.stored === undefined) return entry;
  const { stored, ...line } = entry;
  const texts = found.get(stored.hash);
  if (texts instanceof StoredUnreadable) return { ...entry, text: storedNotice(texts.fault) };
  const text = texts?.[stored.index];
  return text === undefined ? { ...entry, text: storedNotice("failed") } : { ...line, text };
}

/** What stands for the text of a line that cannot be shown. */
function storedNotice(fault: StoredFault): string {
  return `[stored: ${NOTICES[fault]}]`;
}

function otherForm(): StoredUnreadable {
  return new StoredUnreadable("refused", "The file in the store has another form than expected.");
}

/** Why a body cannot be shown. Rethrows what is no failure of the body. */
function unreadable(error: unknown): StoredUnreadable {
  if (error instanceof StoredUnreadable) return error;
  const cause = { cause: error };
  if (error instanceof SealError)
    return new StoredUnreadable(error.fault === "unknown-key" ? "no-key" : "refused", error.message, cause);
  const fault = error instanceof Problem ? FAULTS[error.code] : undefined;
  if (error instanceof Problem && fault !== undefined)
    return new StoredUnreadable(fault, error.message, cause);
  if (error instanceof ConnectionFailure || error instanceof UnexpectedAnswer)
    return new StoredUnreadable("failed", error.message, cause);
  if (error instanceof SyntaxError) return otherForm();
  throw error;
}

async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
