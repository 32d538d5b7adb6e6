import { z } from "zod";

/** The most custom amounts of a run or a worker. */
export const AMOUNTS_MAX = 8;

/** The most kinds of GPUs on one worker. */
const KINDS_MAX = 16;

/** The largest amount of anything: memory is in bytes. */
const AMOUNT_MAX = 2 ** 52;

const RESERVED: readonly string[] = ["cpu", "memory", "gpu"];

/** The name of a custom amount. */
export const AmountName = z
  .string()
  .regex(
    /^[a-z][a-z0-9_-]{0,31}$/,
    "use lower-case letters, digits, - and _, at most 32, starting with a letter",
  )
  .refine((name) => !RESERVED.includes(name), "cpu, memory and gpu are reserved names");

/** A kind of GPU, such as `a100`. */
export const GpuKind = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,31}$/, "use lower-case letters, digits, ., - and _, at most 32");

const thousandths = (value: number) => Math.abs(value * 1000 - Math.round(value * 1000)) < 1e-6;

/** An amount, with up to three decimal places. */
export const Amount = z
  .number()
  .positive()
  .max(AMOUNT_MAX)
  .refine(thousandths, "at most three decimal places");

/** The compute that a run needs. Amounts choose a worker, but are not enforced. */
export const Compute = z.strictObject({
  cpu: Amount.max(10_000).optional().describe("Cores; 0.5 is half of one."),
  memoryBytes: z.int().min(1).max(AMOUNT_MAX).optional(),
  gpu: z
    .strictObject({ count: z.int().min(1).max(1024), kind: GpuKind.nullable().default(null) })
    .optional()
    .describe("Whole devices, each for one run. Kind null: any kind."),
  amounts: z
    .record(AmountName, Amount)
    .refine((amounts) => Object.keys(amounts).length <= AMOUNTS_MAX, `at most ${AMOUNTS_MAX} amounts`)
    .default({})
    .describe("Other amounts that workers declare, such as licences."),
});
export type Compute = z.output<typeof Compute>;

/**
 * Amounts by name on the wire: `cpu` in cores, `memory` in bytes, `gpu` in devices, `gpu:KIND` in devices of a kind, others as
 * they are called.
 */
export const AmountsByName = z
  .record(
    z.string().regex(/^(cpu|memory|gpu(:[a-z0-9][a-z0-9._-]{0,31})?|[a-z][a-z0-9_-]{0,31})$/),
    z.number().min(0).max(AMOUNT_MAX),
  )
  .refine(
    (amounts) => Object.keys(amounts).length <= AMOUNTS_MAX + KINDS_MAX + RESERVED.length,
    "too many amounts",
  );
