import type { Checkpoint, CheckpointPage, Ref, RunError } from "@towpath/contract";

/** Asks for a page of what earlier attempts have left; null is the cursor of the first. */
export type PageSource = (after: string | null) => Promise<CheckpointPage>;

/** By what it is known whether an earlier end of a call still holds. */
export interface EarlierFacts {
  /** Of this run, else of the one that it is a rerun of. */
  readonly own: boolean;
  readonly codeVersion: string | null;
  readonly inputHash: string | null;
}

/** A result of an earlier attempt, and what it was made with. */
export interface EarlierResult extends EarlierFacts {
  readonly ref: Ref;
}

/** What a call threw in an earlier attempt. */
export interface EarlierFailure extends EarlierFacts {
  readonly error: RunError;
}

/** Equal texts as one: tens of thousands of results share a few addresses and versions. */
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

/** One result as it is kept in memory: the address of a pack is shared by all that lie in it. */
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
 * What earlier attempts have left, by path: refs, never values. Small enough to be held whole for as many calls as a run
 * may have; a result that was asked for is let go.
 */
export class EarlierResults {
  /** How the latest call under a path ended. */
  readonly #ends = new Map<string, Kept | EarlierFailure>();
  readonly #instants = new Map<string, string>();
  readonly #values = new Map<string, Ref>();
  readonly #words = new Words();

  /** Fetches it all. Of two under one path the later counts. */
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

  /** The result under a path. It is answered once: no other call has the same path. */
  takeResult(path: string): EarlierResult | null {
    const found = this.#ends.get(path);
    if (found === undefined || "error" in found) return null;
    this.#ends.delete(path);
    const { own, codeVersion, inputHash } = found;
    return { own, codeVersion, inputHash, ref: refOf(found) };
  }

  /** What the call under a path threw, if it is not to be called again. It is answered once. */
  takeFailure(path: string): EarlierFailure | null {
    const found = this.#ends.get(path);
    if (found === undefined || !("error" in found)) return null;
    this.#ends.delete(path);
    return found;
  }

  /** Results that have not been taken yet, the first that was left first. */
  *left(): Generator<readonly [path: string, ref: Ref]> {
    for (const [path, found] of this.#ends) if (!("error" in found)) yield [path, refOf(found)];
  }

  /** The instant that was told under a path. */
  instantAt(path: string): string | null {
    return this.#instants.get(path) ?? null;
  }

  /** The value that was kept under a path, in this run. */
  valueAt(path: string): Ref | null {
    return this.#values.get(path) ?? null;
  }

  /** Notes a value that was kept in this attempt: a later try goes on from it too. */
  noteValue(path: string, ref: Ref): void {
    this.#values.set(path, ref);
  }

  #add(item: Checkpoint): void {
    const { path, kind, own, at, result } = item;
    if (kind === "task") this.#addEnd(item);
    else if (result === null) this.#instants.set(path, at);
    // Another run's progress may be that of other code or input; what came of it in the end says so, this does not.
    else if (own) this.#values.set(path, result);
  }

  #addEnd(item: Checkpoint): void {
    const { path, own, codeVersion, inputHash, result, error } = item;
    if (result !== null) this.#ends.set(path, this.#kept(item, result));
    else if (error !== undefined)
      this.#ends.set(path, { own, codeVersion: this.#words.same(codeVersion), inputHash, error });
    // What the run failed by is called again. A result from before that still holds is as good as ever.
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
