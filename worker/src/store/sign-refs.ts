import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from "node:crypto";
import type { Ref } from "@towpath/contract";
import { derivedKey, type StoreKey } from "./keyring.ts";

/** Half of a ref's 64 digits: the hash of the content. The other half is the MAC. */
const HALF_CHARS = 32;
/** The second half in a flow's process, which has no key for MACs. */
const UNSIGNED = "0".repeat(HALF_CHARS);

/**
 * What a ref belongs to. Its first part says which kind of ref it is. A ref is accepted only for the owner that it was signed
 * for, so that nobody can move it to another task, run or job.
 */
export type RefOwner =
  | readonly [kind: "result", deployment: string, originId: string, path: string, ...facts: (string | null)[]]
  | readonly [kind: "kept", deployment: string, originId: string, path: string]
  | readonly [kind: "run", runId: string]
  | readonly [kind: "argument", deployment: string, callId: string, task: string]
  | readonly [kind: "parameter", deployment: string, runId: string, place: string]
  | readonly [kind: "handle", deployment: string, jobId: string, ...job: string[]]
  | readonly [kind: "job-result", deployment: string, jobId: string];

interface SigningKey {
  readonly hash: KeyObject;
  readonly ref: KeyObject;
}

/** The owner of a task's result: the chain of reruns, the path, the input and the code. */
export function resultOwner(
  run: { readonly deployment: string; readonly originId: string },
  call: {
    readonly path: string;
    readonly inputHash?: string | null | undefined;
    readonly codeVersion?: string | null | undefined;
  },
): RefOwner {
  return [
    "result",
    run.deployment,
    run.originId,
    call.path,
    call.inputHash ?? null,
    call.codeVersion ?? null,
  ];
}

/** HMAC-SHA256 over the owner and all fields of a ref, as one JSON array. The key is that of the workspace. */
function macOf(key: KeyObject, { uri, codec, sizeBytes, sha256 }: Ref, owner: RefOwner): string {
  const told = [...owner, uri, codec, sizeBytes, sha256.slice(0, HALF_CHARS)];
  return createHmac("sha256", key).update(JSON.stringify(told)).digest("hex").slice(0, HALF_CHARS);
}

/**
 * The ref as a flow writes it. An engine of an earlier release and a client of another author write the SHA-256 of the
 * content, which must not leave: it gets the key here.
 */
function keyedRef(key: KeyObject, ref: Ref): Ref {
  if (ref.sha256.endsWith(UNSIGNED)) return ref;
  const label = `content ${ref.codec} ${ref.sizeBytes}\n`;
  const hash = createHmac("sha256", key).update(label).update(Buffer.from(ref.sha256, "hex")).digest("hex");
  return { ...ref, sha256: hash.slice(0, HALF_CHARS) + UNSIGNED };
}

/**
 * Signs the refs that leave and checks those that come back. The control plane has no key, so it can neither change, move
 * nor invent a ref. Flows get no key for MACs.
 */
export class RefSigner {
  readonly #keys: readonly SigningKey[];

  /** @param keys The first one signs, and all of them are accepted. */
  constructor(keys: readonly StoreKey[], { workspaceId }: { readonly workspaceId: string }) {
    this.#keys = keys.map((key) => ({
      hash: createSecretKey(derivedKey(key, "hash", workspaceId)),
      ref: createSecretKey(derivedKey(key, "ref", workspaceId)),
    }));
  }

  /** A ref as it leaves: `sha256` is the hash of the content, then the MAC. */
  signed(ref: Ref, owner: RefOwner): Ref {
    const [key] = this.#keys;
    if (key === undefined) return ref;
    const keyed = keyedRef(key.hash, ref);
    return { ...keyed, sha256: keyed.sha256.slice(0, HALF_CHARS) + macOf(key.ref, keyed, owner) };
  }

  /** A ref that came back, as a flow gets it. Null: it is not exactly one that was signed for this owner. */
  checked(ref: Ref, owner: RefOwner): Ref | null {
    const told = Buffer.from(ref.sha256.slice(HALF_CHARS));
    const isOne = this.#keys.some((key) => {
      const mac = Buffer.from(macOf(key.ref, ref, owner));
      return mac.byteLength === told.byteLength && timingSafeEqual(mac, told);
    });
    return isOne ? withoutMac(ref) : null;
  }
}

/** A ref without its MAC, as a flow gets it. Whose ref it is is not checked. */
export function withoutMac(ref: Ref): Ref {
  return { ...ref, sha256: ref.sha256.slice(0, HALF_CHARS) + UNSIGNED };
}

/** A ref whose value no store gives out: loading it fails. */
export function withoutContent(ref: Ref): Ref {
  return { ...ref, sha256: "0".repeat(2 * HALF_CHARS) };
}
