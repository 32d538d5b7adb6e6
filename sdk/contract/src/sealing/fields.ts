import { z } from "zod";

/**
 * The fields whose values a sealed workspace stores only as ciphertext, by the name in the protected header, with what each holds.
 * The header binds a value to its field, so that an error cannot be shown as an answer.
 */
export const SEALED_FIELDS = {
  parameters: "the parameters of a run, a schedule or a backfill",
  schema: "the JSON Schema of a deployment's parameters, with its defaults",
  env: "the value of an environment variable of a deployment",
  error: "the message of an error",
  stack: "the stack of an error",
  log: "the text of a log line",
  artifact: "the body of an artifact",
  title: "the title of an artifact or a question",
  question: "the JSON Schema of an answer or of an event's payload",
  answer: "the answer to a question",
  event: "the payload of an event",
  "run-name": "the name of a run",
  job: "the status text of an external job",
  key: "the key of an event or of a repeated request, as a code",
} as const;

/** The name of a sealed field. */
export type SealedField = keyof typeof SEALED_FIELDS;

/** The names of all sealed fields. */
// The table is an object literal: it has no other keys.
export const SEALED_FIELD_NAMES = Object.keys(SEALED_FIELDS) as SealedField[];

/** Where a schema says which sealed field a value is, also in the OpenAPI document. */
export const SEALED_MARK = "x-sealed";

/** The longest protected header with the parts of fixed length, characters. */
const SEALED_EXTRA_CHARS = 2048;

/** How long a text may be once it is sealed, characters: UTF-8 takes up to three bytes for each, and base64url four characters for three bytes. */
export function sealedChars(plainChars: number): number {
  return plainChars * 4 + SEALED_EXTRA_CHARS;
}

/** How long JSON may be once it is sealed, bytes. */
export function sealedBytes(plainBytes: number): number {
  return Math.ceil((plainBytes * 4) / 3) + SEALED_EXTRA_CHARS;
}

/** Marks a schema: a sealed workspace takes its values only sealed. */
export function sealable<Schema extends z.ZodType>(field: SealedField, schema: Schema): Schema {
  return schema.meta({ ...schema.meta(), [SEALED_MARK]: field });
}

/** A text of at most `maxChars` characters, or sealed. */
export function sealableText(
  field: SealedField,
  { min = 0, max }: { min?: number; max: number },
): z.ZodString {
  const text = z
    .string()
    .min(min)
    .max(sealedChars(max))
    .refine((value) => value.length <= max || isSealedText(value), `at most ${max} characters`);
  return sealable(field, text);
}

/** What a sealed text begins with. */
export const SEALED_PREFIX = "sealed:";

/** Compact serialization of RFC 7516 with direct encryption: header, no key, 12 bytes of IV, ciphertext, 16 bytes of tag. */
const COMPACT = /^[\w-]{1,1800}\.\.[\w-]{16}\.[\w-]*\.[\w-]{22}$/;

/** Whether a text is a compact JWE of the form that sealing makes. Does not decrypt it. */
export function isCompact(text: string): boolean {
  return COMPACT.test(text);
}

/** Whether a text field holds a sealed value. Does not decrypt it. */
export function isSealedText(value: unknown): value is string {
  return (
    typeof value === "string" &&
    value.startsWith(SEALED_PREFIX) &&
    isCompact(value.slice(SEALED_PREFIX.length))
  );
}

/** A sealed JSON value on the wire. */
export const SealedJson = z.strictObject({
  sealed: z.string().regex(COMPACT, "a compact JWE (alg dir, enc A256GCM)"),
});
export type SealedJson = z.infer<typeof SealedJson>;

/** Whether a JSON field holds a sealed value. Does not decrypt it. */
export function isSealedJson(value: unknown): value is SealedJson {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const { sealed, kind = "sealed", ...rest }: { sealed?: unknown; kind?: unknown } = value;
  return (
    typeof sealed === "string" && kind === "sealed" && Object.keys(rest).length === 0 && isCompact(sealed)
  );
}

/** Whether a field of either form holds a sealed value. */
export function isSealed(value: unknown): boolean {
  return isSealedText(value) || isSealedJson(value);
}

/** What the code of a key begins with. */
export const KEY_CODE_PREFIX = "mac:";

const KEY_CODE = /^mac:[\w-]{43}$/;

/**
 * Whether a text is the code of a key: an HMAC that stands for an idempotency key or for the key of an event. The control plane compares
 * codes as it compares keys.
 */
export function isKeyCode(value: unknown): value is string {
  return typeof value === "string" && KEY_CODE.test(value);
}

/** For what the code of a key is made: a key of one purpose and place tells nothing about the same key of another. */
export const KEY_PURPOSES = {
  /** An idempotency key of a workspace. */
  request: (workspace: string) => JSON.stringify(["idempotency-key", workspace]),
  /** The key of events with this name. */
  event: (workspace: string, name: string) => JSON.stringify(["event-key", workspace, name]),
} as const;

/** Whether a value says nothing, so that a sealed workspace takes it as it is: an empty text, object or list, or null. */
export function saysNothing(value: unknown): boolean {
  if (value === null || value === undefined || value === "") return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}
