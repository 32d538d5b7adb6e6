import { randomBytes } from "node:crypto";
import { type FileHandle, lchown, mkdir, open, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Fence } from "@towpath/contract";
import { readBootId, UNKNOWN_BOOT } from "@towpath/contract/process";
import type { Logger } from "pino";
import type { Journal } from "../journal/index.ts";
import { removeIfAny, syncFolder } from "../state/atomic-file.ts";
import { ROOM, ROOM_NAME } from "../walls/index.ts";
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
import { letRead } from "./user-folder.ts";

const TOKEN_BYTES = 32;
const OWNER_ONLY = 0o600;
const OWNER_ONLY_DIR = { mode: 0o700 } as const;

/** A folder for a future claim, with everything that is the same for each claim. */
export interface PreallocatedFolder {
  readonly dir: string;
  /** The flow's process shows it to the gateway. */
  readonly token: string;
  /** The attempt's file, open and empty. */
  readonly file: FileHandle;
}

/** A journal for a future claim: both lanes, open and empty. */
export interface PreallocatedJournal {
  readonly dir: string;
  readonly lanes: readonly [control: Journal, bulk: Journal];
  /** The file that names the owner of the journal, open and empty. */
  readonly owner: FileHandle;
}

/** Folders and journals for the next claims. */
export interface Preallocation {
  /** A folder that is ready; if there is none, a new one. */
  folder(): Promise<PreallocatedFolder>;
  /** A journal that is ready; null if there is none. */
  journal(): PreallocatedJournal | null;
  /** Makes no more and closes those that are ready. The next start of the worker removes their folders. */
  close(): Promise<void>;
}

/**
 * Makes folders and journals before they are needed. This leaves two writes and two renames between a claim and
 * the start of its flow.
 */
export function createPreallocation(deps: LaneDeps & { readonly log: Logger }, dir: string): Preallocation {
  let made = 0;
  const next = (kind: string) => join(dir, `${kind}-${++made}`);
  const failed = (error: unknown) => {
    // The claim that needs one makes it itself, and reports what is wrong.
    deps.log.debug({ error: String(error) }, "nothing could be preallocated");
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

/** Moves the room of a runner into a claim's folder, and what its process finds there. The runner sees all that. */
export async function placeRoom(
  room: string,
  { folder, user }: { folder: string; user: { readonly uid: number } | null },
): Promise<void> {
  const token = join(room, ROOM.given, CLAIM_FILES.tokenFile);
  await rename(join(folder, CLAIM_FILES.tokenFile), token);
  await rename(join(folder, CLAIM_FILES.work), join(room, CLAIM_FILES.work));
  if (user !== null) {
    await letRead(token, user);
    await lchown(join(room, CLAIM_FILES.work), user.uid, user.uid);
  }
  await rename(room, join(folder, ROOM_NAME));
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

/** Closes one that is not used. */
export async function closeJournal({ lanes, owner }: PreallocatedJournal): Promise<void> {
  await Promise.all([...lanes.map((lane) => lane.close()), owner.close()]);
}

/**
 * Gives a preallocated folder to a claim: writes the attempt's file, then renames the folder. If a folder of that name exists, an
 * earlier process of this worker left it, and the claim begins anew. See `writeStored` for durability.
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
    // The data is with the operating system, so nothing waits for the close.
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
 * Gives a preallocated journal to a claim: writes its owner, then renames it.
 * @returns false if it is not possible, for example because an earlier process of this worker left a journal.
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

/** How many are kept ready. */
const READY = 2;
/** The pause before the next one is made, milliseconds: made at once, it would delay the claim that took the last. */
const REFILL_AFTER_MS = 100;

/** How items are made and closed. */
export interface StockOptions<Item> {
  readonly make: () => Promise<Item>;
  readonly discard: (item: Item) => Promise<void>;
  /** Called when one could not be made. The next call of `take` tries again. */
  readonly failed: (error: unknown) => void;
}

/** Keeps a few items ready. */
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

  /** An item that is ready; null if there is none. */
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

/** Where a claim's journal lies, and its owner. */
type ClaimJournal = { readonly dir: string; readonly fence: Fence; readonly runId?: string | undefined };

/** Preallocated lanes. Null: none is ready, or the claim has a journal already. */
async function preallocatedLanes(deps: SpoolDeps, { dir, fence, runId }: ClaimJournal) {
  // The run's id is known only for a new claim.
  const preallocated = runId === undefined ? null : deps.preallocation?.journal();
  const isPlaced =
    preallocated && (await placeJournal(preallocated, { to: dir, owner: ownerText({ fence, runId }) }));
  return isPlaced ? preallocated.lanes : null;
}

async function lanesOf(deps: LaneDeps, args: ClaimJournal) {
  const { dir, fence } = args;
  const isNew = await makeJournalDir(args);
  const runId = args.runId ?? (isNew ? undefined : ((await readRunId(dir)) ?? undefined));
  // All at once, because a flow cannot start before this is done.
  return await openLanes(deps, { dir, isNew, meanwhile: () => writeOwner(dir, { fence, runId }) });
}

/** The two lanes of a claim's journal: preallocated, new, or left by an earlier process of this worker. */
export async function openSpoolLanes(deps: SpoolDeps, args: ClaimJournal) {
  return (await preallocatedLanes(deps, args)) ?? (await lanesOf(deps, args));
}
