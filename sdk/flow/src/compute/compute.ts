import { type ComputeNeeds, parseBytes } from "@towpath/contract/words";
import { InvalidDefinition } from "../problem.ts";

/** GPUs that a run needs: how many, of a kind such as `a100` or of any. */
export interface GpuUse {
  readonly count: number;
  /** As workers declare or detect it. @default any */
  readonly kind?: string | undefined;
}

/**
 * What each run needs from its worker. The worker must have all of it free. These are amounts for matching: they do not
 * limit the memory or cores that a run uses.
 * @example
 * const compute: ComputeUse = { cpu: 2, memory: "4 GiB", gpu: { count: 1, kind: "a100" }, licences: 1 };
 */
export interface ComputeUse {
  /** Cores; 0.5 is half of one. */
  readonly cpu?: number | undefined;
  /** A size such as `4 GiB` or `512 MB`. */
  readonly memory?: string | undefined;
  /** Whole devices for this run only. A number means any kind. */
  readonly gpu?: number | GpuUse | undefined;
  /** Other amounts that workers declare. */
  readonly [amount: string]: number | string | GpuUse | undefined;
}

const AMOUNT_NAME = /^[a-z][a-z0-9_-]{0,31}$/;
const KIND = /^[a-z0-9][a-z0-9._-]{0,31}$/;
const NAMED_MAX = 8;
const GPUS_MAX = 1024;

function isAmount(value: unknown): value is number {
  if (typeof value !== "number" || !(value > 0) || !Number.isFinite(value)) return false;
  return Math.abs(value * 1000 - Math.round(value * 1000)) < 1e-6;
}

const AMOUNT = "a number above 0 with at most three decimal places";

/** An invalid field. The message follows the owner's name. */
class Wrong extends Error {}

function cpuOf(value: unknown): number {
  if (!isAmount(value) || value > 10_000)
    throw new Wrong(`cpu must be a number of cores above 0, such as 2 or 0.5`);
  return value;
}

function memoryOf(value: unknown): number {
  const bytes = typeof value === "string" ? parseBytes(value) : null;
  if (bytes === null) throw new Wrong('memory must be a size such as "4 GiB" or "512 MB"');
  return bytes;
}

function gpuOf(value: unknown): { count: number; kind: string | null } {
  const given = typeof value === "number" ? { count: value } : value;
  const wanted = "gpu must be a number of devices, or { count, kind }";
  if (typeof given !== "object" || given === null) throw new Wrong(wanted);
  const { count, kind, ...more } = given as { count?: unknown; kind?: unknown };
  const [stray] = Object.keys(more);
  if (stray !== undefined) throw new Wrong(`${wanted}; "${stray}" is not an option of gpu`);
  if (typeof count !== "number" || !Number.isInteger(count) || count < 1 || count > GPUS_MAX)
    throw new Wrong(`gpu.count must be a whole number from 1 to ${GPUS_MAX}`);
  if (kind !== undefined && (typeof kind !== "string" || !KIND.test(kind)))
    throw new Wrong('gpu.kind must be a kind in lower case, such as "a100"');
  return { count, kind: kind ?? null };
}

function amountsOf(given: Readonly<Record<string, unknown>>): Record<string, number> {
  const amounts: Record<string, number> = {};
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue;
    if (!AMOUNT_NAME.test(name))
      throw new Wrong(
        `"${name}" is not a valid name of an amount: use lower-case letters, digits, - and _, at most 32`,
      );
    if (!isAmount(value)) throw new Wrong(`${name} must be ${AMOUNT}`);
    amounts[name] = value;
  }
  if (Object.keys(amounts).length > NAMED_MAX)
    throw new Wrong(`at most ${NAMED_MAX} amounts beside cpu, memory and gpu`);
  return amounts;
}

/**
 * Compute needs in the form of a spec.
 * @throws InvalidDefinition naming the owner and the invalid field.
 */
export function computeOf(owner: string, given: unknown): ComputeNeeds {
  if (typeof given !== "object" || given === null || Array.isArray(given))
    throw new InvalidDefinition(`${owner}: compute must be an object such as { cpu: 2, memory: "4 GiB" }.`);
  const { cpu, memory, gpu, ...named } = given as Record<string, unknown>;
  try {
    return {
      ...(cpu === undefined ? {} : { cpu: cpuOf(cpu) }),
      ...(memory === undefined ? {} : { memoryBytes: memoryOf(memory) }),
      ...(gpu === undefined ? {} : { gpu: gpuOf(gpu) }),
      amounts: amountsOf(named),
    };
  } catch (wrong) {
    if (!(wrong instanceof Wrong)) throw wrong;
    throw new InvalidDefinition(`${owner}: compute: ${wrong.message}.`);
  }
}
