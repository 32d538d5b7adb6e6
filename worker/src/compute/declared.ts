import { AMOUNTS_MAX, Amount, AmountName, GpuKind, parseBytes } from "@towpath/contract";
import { z } from "zod";

/** The most GPUs of one worker. */
const GPUS_MAX = 64;

const size = z.string().transform((text, context) => {
  const bytes = parseBytes(text);
  if (bytes !== null) return bytes;
  context.addIssue({ code: "custom", message: 'give a size such as "30 GiB"' });
  return z.NEVER;
});

/** One GPU: its id for `CUDA_VISIBLE_DEVICES`, and its kind. */
export const GpuShape = z.strictObject({
  id: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9/_.-]{0,63}$/, "an index, or an id such as GPU-…"),
  kind: GpuKind.optional(),
});
export type Gpu = z.output<typeof GpuShape>;

/** The devices in a settings file. */
interface DeclaredInput {
  readonly cpu?: number | undefined;
  /** A size such as `30 GiB`. */
  readonly memory?: string | undefined;
  readonly gpus?: readonly z.input<typeof GpuShape>[] | undefined;
  readonly [amount: string]: unknown;
}

/** What a worker declares, with memory in bytes. */
export interface Declared {
  readonly cpu?: number | undefined;
  readonly memory?: number | undefined;
  readonly gpus?: readonly Gpu[] | undefined;
  /** Amounts with names of their own. */
  readonly own: Readonly<Record<string, number>>;
}

/** What a worker declares: cpu, memory and gpu, and amounts with names of their own. */
export const ComputeShape: z.ZodType<Declared, DeclaredInput> = z
  .object({
    cpu: Amount.optional(),
    memory: size.optional(),
    gpus: z
      .array(GpuShape)
      .max(GPUS_MAX)
      .refine((gpus) => new Set(gpus.map(({ id }) => id)).size === gpus.length, "name each GPU once")
      .optional(),
  })
  .catchall(Amount)
  .superRefine((given, context) => {
    const names = Object.keys(given).filter((name) => !["cpu", "memory", "gpus"].includes(name));
    for (const name of names) {
      const { error } = AmountName.safeParse(name);
      if (error) context.addIssue({ code: "custom", path: [name], message: error.issues[0]?.message ?? "" });
    }
    if (names.length > AMOUNTS_MAX)
      context.addIssue({ code: "custom", message: `at most ${AMOUNTS_MAX} amounts of your own` });
  })
  .transform(({ cpu, memory, gpus, ...own }): Declared => ({ cpu, memory, gpus, own }));

/** Variables that replace the settings of the same name. */
export const COMPUTE_VARIABLES = {
  TOWPATH_COMPUTE:
    "The worker's amounts: `cpu=8,memory=30GiB,licences=2`. They replace the amounts in its configuration and the detected ones.",
  TOWPATH_GPUS:
    "The worker's GPUs: `0=a100,1=a100`, or `none`. They replace the GPUs in its configuration and the detected ones. An id is that of `CUDA_VISIBLE_DEVICES`. The kind may be left out.",
} as const;

/** `cpu=8,memory=30GiB` as settings. The schema refuses texts that are no numbers. */
function amountsIn(text: string): Record<string, unknown> {
  return Object.fromEntries(
    text.split(",").map((part) => {
      const [name = "", value = ""] = part.split("=").map((one) => one.trim());
      return [name, name === "memory" || !/^\d+(\.\d+)?$/.test(value) ? value : Number(value)];
    }),
  );
}

function gpusIn(text: string): unknown[] {
  if (text.trim() === "none") return [];
  return text.split(",").map((part) => {
    const [id = "", kind] = part.split("=").map((one) => one.trim());
    return kind === undefined ? { id } : { id, kind };
  });
}

/** The settings of compute, with the variables put over them. */
export function overridden(
  compute: unknown,
  environment: Readonly<Record<string, string | undefined>>,
): unknown {
  const { TOWPATH_COMPUTE: amounts, TOWPATH_GPUS: gpus } = environment;
  if (!amounts && !gpus) return compute;
  return {
    ...(typeof compute === "object" ? compute : {}),
    ...(amounts ? amountsIn(amounts) : {}),
    ...(gpus ? { gpus: gpusIn(gpus) } : {}),
  };
}
