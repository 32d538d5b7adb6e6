import { createHash } from "node:crypto";
import { instant } from "../clock.ts";
import { type Scope, scopeFor } from "../engine/scope.ts";

/** Which of several calls in concurrent branches this is. */
export interface AlikeOptions {
  /** Needed only where branches run side by side. @default the call's place among its like */
  readonly key?: string;
}

interface Placed {
  readonly scope: Scope;
  readonly path: string;
}

function placed(name: string, key: string | undefined): Placed {
  const scope = scopeFor(`${name}()`, "Use it inside a flow's function or task.");
  const callKey = key === undefined ? ({ kind: "none" } as const) : ({ kind: "given", key } as const);
  const { path, settled } = scope.calls.name(name, callKey, "value");
  settled();
  return { scope, path };
}

/** Bytes that follow from the first run of a chain of reruns and the place of the call. */
function drawn({ scope, path }: Placed): Buffer {
  const { origin } = scope.run.host.resume;
  return createHash("sha256").update(`${origin}\n${path}`).digest();
}

/**
 * The time at which this call was first made in this run: every attempt sees the same, so that what depends on it stays the
 * same task call with the same input.
 * @throws TaskIdentityUnknown when called again without a key beside running tasks.
 */
export function now(options: AlikeOptions = {}): Date {
  const { scope, path } = placed("now", options.key);
  const { host, checkpoints } = scope.run;
  const told = checkpoints.earlier.instantAt(path);
  if (told !== null) return new Date(told);
  const at = instant(host.clock);
  // Records keep their order: whatever is told of a task that takes this time as its input comes after it.
  host.records.post({ type: "kept", at, path }).catch(() => {});
  return new Date(at);
}

const MANTISSA_BYTES = 6;
const MANTISSA_VALUES = 2 ** (MANTISSA_BYTES * 8);

/**
 * A number from 0 up to but not 1, the same in every attempt. It follows from the run's id, so it is not for secrets.
 * @throws TaskIdentityUnknown when called again without a key beside running tasks.
 */
export function random(options: AlikeOptions = {}): number {
  return drawn(placed("random", options.key)).readUIntBE(0, MANTISSA_BYTES) / MANTISSA_VALUES;
}

/**
 * A UUID (version 8, RFC 9562), the same in every attempt: a good name for what a task makes elsewhere, such as an
 * idempotency key. It follows from the run's id, so it is not for secrets.
 * @throws TaskIdentityUnknown when called again without a key beside running tasks.
 */
export function uuid(options: AlikeOptions = {}): string {
  const bytes = drawn(placed("uuid", options.key)).subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
