import { randomBytes } from "node:crypto";
import { type FileHandle, mkdir, open, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Fence } from "@towpath/contract";
import { readBootId, UNKNOWN_BOOT } from "@towpath/contract/process";
import type { Logger } from "pino";
import type { Journal } from "../journal/index.ts";
import { removeIfAny, syncFolder } from "../state/atomic-file.ts";
import {
  type LaneDeps,
  makeJournalDir,
  OWNER_FILE,
  openLanes,
  ownerText,
  readRunId,
  writeOwner,
} from "./journal-lanes.ts";
import { CLAIM_FILES } from "./paths.ts";

const TOKEN_BYTES = 32;
const OWNER_ONLY = 0o600;
const OWNER_ONLY_DIR = { mode: 0o700 } as const;

/** A claim's folder without a claim: all is in it that is the same for each. */
export interface PreallocatedFolder {
  readonly dir: string;
  /** What the flow's process will show to the gateway. */
  readonly token: string;
  /** The attempt's file, open and empty. */
  readonly file: FileHandle;
}

/** A journal without a claim: both lanes, open and empty. */
export interface PreallocatedJournal {
  readonly dir: string;
  readonly lanes: readonly [control: Journal, bulk: Journal];
  /** The file that says whose journal it is, open and empty. */
  readonly owner: FileHandle;
}

/** Where claims' folders and journals are taken from. */
export interface Preallocation {
  /** A folder that is ready, or one that is made now. */
  folder(): Promise<PreallocatedFolder>;
  /** A journal, if one is ready. */
  journal(): PreallocatedJournal | null;
  /** Makes none from now on, and lets go of those that are ready. Their folders stay, for the next start to remove. */
  close(): Promise<void>;
}

/**
 * Makes ahead what claims need on disk. A dozen operations on files took 10 of the 24 ms between a trigger and the first line of a
 * flow, although each takes a tenth of a millisecond alone: here two writes and two renames are left of them.
 */
export function createPreallocation(deps: LaneDeps & { readonly log: Logger }, dir: string): Preallocation {
  let made = 0;
  const next = (kind: string) => join(dir, `${kind}-${++made}`);
  const failed = (error: unknown) => {
    // Whoever needs one makes it then, and says what is wrong.
    deps.log.debug({ error: String(error) }, "nothing could be made ahead of a claim");
  };
  const folders = new Stock({
    make: () => makeFolder(next("folder")),
    discard: ({ file }) => file.close(),
    failed,
  });
  const journals = new Stock({
    make: () => makeJournal(deps, next("journal")),
    discard: closeJournal,
    failed,
  });
  return {
    folder: async () => folders.take() ?? (await makeFolder(next("folder"))),
    journal: () => journals.take(),
    async close() {
      await Promise.all([folders.close(), journals.close()]);
    },
  };
}

async function makeFolder(dir: string): Promise<PreallocatedFolder> {
  const token = randomBytes(TOKEN_BYTES).toString("base64url");
  await mkdir(dir, OWNER_ONLY_DIR);
  const [file] = await Promise.all([
    open(join(dir, CLAIM_FILES.file), "wx", OWNER_ONLY),
    mkdir(join(dir, CLAIM_FILES.work), OWNER_ONLY_DIR),
    writeFile(join(dir, CLAIM_FILES.tokenFile), token, { mode: OWNER_ONLY }),
  ]);
  return { dir, token, file };
}

async function makeJournal(deps: LaneDeps, dir: string): Promise<PreallocatedJournal> {
  await mkdir(dir, OWNER_ONLY_DIR);
  const owner = await open(join(dir, OWNER_FILE), "wx", OWNER_ONLY);
  try {
    const lanes = await openLanes(deps, { dir, isNew: true, meanwhile: async () => {} });
    return { dir, lanes, owner };
  } catch (error) {
    await owner.close();
    throw error;
  }
}

/** Lets go of one that is not used. */
export async function closeJournal({ lanes, owner }: PreallocatedJournal): Promise<void> {
  await Promise.all([...lanes.map((lane) => lane.close()), owner.close()]);
}

/**
 * Makes a folder a claim's: the attempt's file is written, and the folder appears under its name with it. What stands there is of an earlier
 * process of this worker, whose claim is prepared anew. It outlives the worker, as `writeStored` says.
 */
export async function placeFolder(
  preallocated: PreallocatedFolder,
  args: { to: string; text: string },
): Promise<void> {
  const isForPowerCuts = readBootId() === UNKNOWN_BOOT;
  try {
    await preallocated.file.writeFile(args.text);
    if (isForPowerCuts) await preallocated.file.sync();
  } finally {
    // Nobody waits for that: what was written is with the system.
    void preallocated.file.close().catch(() => {});
  }
  try {
    await rename(preallocated.dir, args.to);
  } catch {
    await removeIfAny(args.to);
    await rename(preallocated.dir, args.to);
  }
  if (isForPowerCuts) await syncFolder(join(args.to, ".."));
}

/**
 * Makes a journal a claim's: it appears under its name once it says whose it is.
 * @returns Whether it could be: not where an earlier process of this worker has left one.
 */
export async function placeJournal(
  preallocated: PreallocatedJournal,
  args: { to: string; owner: string },
): Promise<boolean> {
  try {
    await preallocated.owner.writeFile(args.owner);
    await rename(preallocated.dir, args.to);
  } catch {
    await closeJournal(preallocated).catch(() => {});
    await removeIfAny(preallocated.dir).catch(() => {});
    return false;
  }
  void preallocated.owner.close().catch(() => {});
  for (const lane of preallocated.lanes) lane.movedTo(args.to);
  return true;
}

/** How many are ready at a time. */
const READY = 2;
/** How long after one was taken the next is made, milliseconds: made at once, it would compete with what it was taken for. */
const REFILL_AFTER_MS = 100;

/** How what is kept is made, and let go of. */
export interface StockOptions<Item> {
  readonly make: () => Promise<Item>;
  readonly discard: (item: Item) => Promise<void>;
  /** Told that one could not be made. The next is tried when one is asked for. */
  readonly failed: (error: unknown) => void;
}

/** Keeps a few of something ready. */
export class Stock<Item> {
  readonly #options: StockOptions<Item>;
  #ready: Item[] = [];
  #making: Promise<void> = Promise.resolve();
  #refilling: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: StockOptions<Item>) {
    this.#options = options;
    this.#refillSoon();
  }

  /** One that is ready; null if none is. */
  take(): Item | null {
    this.#refillSoon();
    return this.#ready.shift() ?? null;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#refilling);
    await this.#making;
    await Promise.all(this.#ready.splice(0).map((item) => this.#options.discard(item)));
  }

  #refillSoon(): void {
    if (this.#isClosed || this.#refilling !== undefined) return;
    this.#refilling = setTimeout(() => {
      this.#refilling = undefined;
      this.#making = this.#making.then(() => this.#refill());
    }, REFILL_AFTER_MS).unref();
  }

  async #refill(): Promise<void> {
    try {
      while (this.#ready.length < READY && !this.#isClosed) this.#ready.push(await this.#options.make());
    } catch (error) {
      this.#options.failed(error);
    }
  }
}

/** What opening a spool needs. */
export interface SpoolDeps extends LaneDeps {
  readonly preallocation?: Pick<Preallocation, "journal">;
}

/** Where a claim's journal lies, and whose it is. */
type Place = { readonly dir: string; readonly fence: Fence; readonly runId?: string | undefined };

/** Lanes that were made before there was a claim. Null: there are none, or the claim has a journal already. */
async function preallocatedLanes(deps: SpoolDeps, { dir, fence, runId }: Place) {
  // Only of a new claim is it known for which run it is.
  const preallocated = runId === undefined ? null : deps.preallocation?.journal();
  const isPlaced =
    preallocated && (await placeJournal(preallocated, { to: dir, owner: ownerText({ fence, runId }) }));
  return isPlaced ? preallocated.lanes : null;
}

async function lanesOf(deps: LaneDeps, args: Place) {
  const { dir, fence } = args;
  const isNew = await makeJournalDir(args);
  const runId = args.runId ?? (isNew ? undefined : ((await readRunId(dir)) ?? undefined));
  // Files of their own, so all at once: this stands between a claim and the start of its flow.
  return await openLanes(deps, { dir, isNew, meanwhile: () => writeOwner(dir, { fence, runId }) });
}

/** The two lanes of a claim's journal: made ahead, new, or those that an earlier process of this worker left. */
export async function openSpoolLanes(deps: SpoolDeps, args: Place) {
  return (await preallocatedLanes(deps, args)) ?? (await lanesOf(deps, args));
}
