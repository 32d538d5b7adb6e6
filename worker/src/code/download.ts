import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { type RegistryAnswer, RegistryFault } from "@towpath/contract/registries";
import { CodeError } from "./code-error.ts";

const OWNER_ONLY = 0o600;

/** What a registry must send: the digest of the bytes, and how many they may be. */
export interface Expected {
  readonly algorithm: "sha256" | "sha512";
  readonly hex: string;
  /** The exact size. Missing: any size up to `mostBytes`. */
  readonly sizeBytes?: number;
  readonly mostBytes: number;
}

/**
 * Writes the body of an answer to a new file and checks it while it comes.
 * @returns The size in bytes.
 * @throws CodeError `digest-mismatch` or `too-large`; RegistryFault when the body breaks off.
 */
export async function download(
  answer: RegistryAnswer,
  { path, expected }: { path: string; expected: Expected },
): Promise<number> {
  const { algorithm, hex, sizeBytes, mostBytes } = expected;
  const hash = createHash(algorithm);
  const file = await open(path, "wx", OWNER_ONLY);
  let bytes = 0;
  try {
    refuseSize(answer.sizeBytes ?? 0, mostBytes);
    for await (const chunk of answer.bytes()) {
      bytes += chunk.length;
      refuseSize(bytes, mostBytes);
      if (sizeBytes !== undefined && bytes > sizeBytes) throw mismatch(expected);
      hash.update(chunk);
      await file.appendFile(chunk);
    }
  } finally {
    answer.discard();
    await file.close();
  }
  if (hash.digest("hex") !== hex) throw mismatch(expected);
  return bytes;
}

function refuseSize(bytes: number, mostBytes: number): void {
  if (bytes <= mostBytes) return;
  throw new CodeError("too-large", `The code's archive is larger than ${mostBytes} bytes.`);
}

function mismatch({ algorithm, hex }: Expected): CodeError {
  return new CodeError(
    "digest-mismatch",
    `The code registry's content does not match its digest ${algorithm}:${hex}.`,
  );
}

/** Fetches from a registry. Its faults become code errors. @throws CodeError */
export async function fromRegistry<T>(fetching: () => Promise<T>): Promise<T> {
  try {
    return await fetching();
  } catch (error) {
    if (!(error instanceof RegistryFault)) throw error;
    throw new CodeError(error.code, error.message, {
      cause: error,
      ...(error.detail !== undefined && { output: error.detail }),
    });
  }
}
