import type { Checkpoint, CheckpointPage, Ref, RunError } from "@towpath/contract";

/** Fetches a page of the checkpoints of earlier attempts. The cursor of the first page is null. */
export type PageSource = (after: string | null) => Promise<CheckpointPage>;

/** The facts that decide whether an earlier end of a call is still valid. */
export interface EarlierFacts {
  /** True for this run; false for the run that it is a rerun of. */
  readonly own: boolean;
  readonly codeVersion: string | null;
  readonly inputHash: string | null;
}

/** A result of an earlier attempt. */
export interface EarlierResult extends EarlierFacts {
  readonly ref: Ref;
}

/** The error of a call in an earlier attempt. */
export interface EarlierFailure extends EarlierFacts {
  readonly error: RunError;
}

/** Stores equal texts once: tens of thousands of results share a few addresses and versions. */
class Words {
  readonly #known = new Map<string, string>();

  same<Text extends string | null>(text: Text): Text | string {
    if (text === null) return text;
    const known = this.#known.get(text);
    if (known !== undefined) return known;
    this.#known.set(text, text);
    return text;
  }
}

const PACK_PART = /^(.*)#(\d+)$/;

/** One result in memory. Results of the same pack share its address. */
interface Kept extends EarlierFacts {
  readonly place: string;
  readonly offset: number;
  readonly codec: Ref["codec"];
  readonly sizeBytes: number;
  readonly sha256: string;
}

function refOf({ place, offset, codec, sizeBytes, sha256 }: Kept): Ref {
  return { uri: offset < 0 ? place : `${place}#${offset}`, codec, sizeBytes, sha256 };
}

/**
 * Refs of earlier attempts' results by path, never their values. All of a run's refs fit into memory. A result that was
 * taken is dropped.
 */
export class EarlierResults {
  /** The end of the latest call at a path. */
  readonly #ends = new Map<string, Kept | EarlierFailure>();
  readonly #instants = new Map<string, string>();
  readonly #values = new Map<string, Ref>();
  readonly #words = new Words();

  /** Fetches all pages. The later of two entries at one path counts. */
  static async fetch(source: PageSource | null): Promise<EarlierResults> {
    const earlier = new EarlierResults();
    for (let after: string | null = null; source !== null; ) {
      const page: CheckpointPage = await source(after);
      for (const item of page.items) earlier.#add(item);
      if (page.next === null) break;
      after = page.next;
    }
    return earlier;
  }

  /** The result at a path. It can be taken once, because no other call has the same path. */
  takeResult(path: string): EarlierResult | null {
    const found = this.#ends.get(path);
    if (found === undefined || "error" in found) return null;
    this.#ends.delete(path);
    const { own, codeVersion, inputHash } = found;
    return { own, codeVersion, inputHash, ref: refOf(found) };
  }

  /** The error of the call at a path, if it is not to be called again. It can be taken once. */
  takeFailure(path: string): EarlierFailure | null {
    const found = this.#ends.get(path);
    if (found === undefined || !("error" in found)) return null;
    this.#ends.delete(path);
    return found;
  }

  /** Results that have not been taken, oldest first. */
  *left(): Generator<readonly [path: string, ref: Ref]> {
    for (const [path, found] of this.#ends) if (!("error" in found)) yield [path, refOf(found)];
  }

  /** The recorded time at a path. */
  instantAt(path: string): string | null {
    return this.#instants.get(path) ?? null;
  }

  /** The stored value at a path of this run. */
  valueAt(path: string): Ref | null {
    return this.#values.get(path) ?? null;
  }

  /** Adds a value of this attempt, so that a later try can continue from it. */
  noteValue(path: string, ref: Ref): void {
    this.#values.set(path, ref);
  }

  #add(item: Checkpoint): void {
    const { path, kind, own, at, result } = item;
    if (kind === "task") this.#addEnd(item);
    else if (result === null) this.#instants.set(path, at);
    // Progress of another run is not used: it has no code version or input to compare.
    else if (own) this.#values.set(path, result);
  }

  #addEnd(item: Checkpoint): void {
    const { path, own, codeVersion, inputHash, result, error } = item;
    if (result !== null) this.#ends.set(path, this.#kept(item, result));
    else if (error !== undefined)
      this.#ends.set(path, { own, codeVersion: this.#words.same(codeVersion), inputHash, error });
    // A call that made the run fail is called again. An earlier valid result stays valid.
    else if (this.#failedAt(path)) this.#ends.delete(path);
  }

  #failedAt(path: string): boolean {
    const found = this.#ends.get(path);
    return found !== undefined && "error" in found;
  }

  #kept({ own, codeVersion, inputHash }: Checkpoint, ref: Ref): Kept {
    const [, pack = ref.uri, offset = "-1"] = PACK_PART.exec(ref.uri) ?? [];
    return {
      own,
      codeVersion: this.#words.same(codeVersion),
      inputHash,
      place: this.#words.same(pack),
      offset: Number(offset),
      codec: ref.codec,
      sizeBytes: ref.sizeBytes,
      sha256: ref.sha256,
    };
  }
}
