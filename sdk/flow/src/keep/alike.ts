import { createHash } from "node:crypto";
import { instant } from "../clock.ts";
import { type Scope, scopeFor } from "../engine/scope.ts";

/** Distinguishes calls in concurrent branches. */
export interface AlikeOptions {
  /** Needed only in concurrent branches. @default the call's number among equal calls */
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

/** Bytes derived from the first run of a chain of reruns and the call's path. */
export function drawOf(origin: string, path: string): Buffer {
  return createHash("sha256").update(`${origin}\n${path}`).digest();
}

function drawn({ scope, path }: Placed): Buffer {
  return drawOf(scope.run.host.resume.origin, path);
}

/**
 * The time of the first such call in this run. It is the same in every attempt, so a task with this time as input stays
 * the same call.
 * @throws TaskIdentityUnknown when called again without a key beside running tasks.
 */
export function now(options: AlikeOptions = {}): Date {
  const { scope, path } = placed("now", options.key);
  const { host, checkpoints } = scope.run;
  const told = checkpoints.earlier.instantAt(path);
  if (told !== null) return new Date(told);
  const at = instant(host.clock);
  // Recorded before any record of a task that takes this time as input.
  host.records.post({ type: "kept", at, path }).catch(() => {});
  return new Date(at);
}

const MANTISSA_BYTES = 6;
const MANTISSA_VALUES = 2 ** (MANTISSA_BYTES * 8);

/** The number of a draw. */
export function randomOf(draw: Buffer): number {
  return draw.readUIntBE(0, MANTISSA_BYTES) / MANTISSA_VALUES;
}

/** The UUID of a draw, of version 8. */
export function uuidOf(draw: Buffer): string {
  const bytes = Buffer.from(draw.subarray(0, 16));
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/**
 * A random number from 0 up to but not including 1, the same in every attempt. It derives from the run's id: do not use
 * it for secrets.
 * @throws TaskIdentityUnknown when called again without a key beside running tasks.
 */
export function random(options: AlikeOptions = {}): number {
  return randomOf(drawn(placed("random", options.key)));
}

/**
 * A UUID (version 8, RFC 9562), the same in every attempt: suitable as an idempotency key or a name of something that a
 * task creates. It derives from the run's id: do not use it for secrets.
 * @throws TaskIdentityUnknown when called again without a key beside running tasks.
 */
export function uuid(options: AlikeOptions = {}): string {
  return uuidOf(drawn(placed("uuid", options.key)));
}
