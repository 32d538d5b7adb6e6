import { z } from "zod";
import type { Json } from "../kernel/names.ts";
import {
  isCompact,
  isSealedJson,
  isSealedText,
  SEALED_FIELD_NAMES,
  SEALED_PREFIX,
  type SealedField,
  type SealedJson,
} from "./fields.ts";

/** The only algorithms: a content key that both sides derive, and AES-256 in GCM. */
export const SEAL_ALG = "dir";
/** See `SEAL_ALG`. */
export const SEAL_ENC = "A256GCM";

/** Where a sealed value belongs. The protected header says it, and the content key is derived from it. */
export interface SealedPlace {
  readonly workspace: string;
  /** With its stage: `churn@prod`. Empty for events, which belong to no deployment. */
  readonly deployment: string;
  readonly field: SealedField;
  /** What the value was made for: see `ORIGINS`. */
  readonly origin: string;
}

/** What a value may have been made for. */
export const ORIGINS = {
  /** One run: its parameters, and everything that it reports. */
  run: (runId: string) => `run/${runId}`,
  /** One question or event wait of a run. */
  wait: (runId: string, waitId: string) => `run/${runId}/${waitId}`,
  /** Runs of one schedule. */
  schedule: (name: string) => `schedule/${name}`,
  /** Runs of one backfill. */
  backfill: (id: string) => `backfill/${id}`,
  /** Every run of a deployment: what its spec says. */
  deployment: "deployment",
  /** The waits for one event. */
  event: (name: string) => `event/${name}`,
} as const;

/** The protected header. Anything else is refused, `zip` included: a small value could otherwise become a huge one. */
export const SealedHeader = z.strictObject({
  alg: z.literal(SEAL_ALG),
  enc: z.literal(SEAL_ENC),
  kid: z.string().regex(/^[0-9a-f]{16}$/),
  ws: z.string().min(1).max(64),
  dep: z.string().max(127),
  fld: z.enum(SEALED_FIELD_NAMES),
  org: z.string().min(1).max(400),
  fp: z
    .string()
    .regex(/^[\w-]{43}$/)
    .optional()
    .describe(
      "A MAC of the plain value, and of the id or the idempotency key of its request: a repeated request has the same.",
    ),
});
export type SealedHeader = z.infer<typeof SealedHeader>;

/** Why a sealed value cannot be opened. */
export const SEAL_FAULTS = ["malformed", "unknown-key", "moved", "damaged"] as const;

/** A sealed value cannot be opened here. The message says what to do, and has no value. */
export class SealError extends Error {
  override readonly name = "SealError";
  readonly fault: (typeof SEAL_FAULTS)[number];

  constructor(fault: SealError["fault"], sentence: string) {
    super(sentence);
    this.fault = fault;
  }
}

/** A sealed value, taken apart. Nothing of it is verified. */
export interface SealedParts {
  readonly header: SealedHeader;
  /** The first part as it stands, which the tag covers. */
  readonly aad: string;
  readonly iv: string;
  readonly ciphertext: string;
  readonly tag: string;
}

const malformed = (why: string) =>
  new SealError(
    "malformed",
    `The sealed value ${why}. Only values that a worker, the CLI or an SDK sealed can be opened.`,
  );

/** Base64url without padding, in any JavaScript runtime. */
export function toBase64url(bytes: Uint8Array): string {
  let binary = "";
  // In parts: a call takes only so many arguments.
  for (let from = 0; from < bytes.length; from += 8192)
    binary += String.fromCharCode(...bytes.subarray(from, from + 8192));
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** The bytes of base64url without padding. */
export function fromBase64url(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (char) => char.charCodeAt(0));
}

/** The protected header of a value, as base64url. */
export function headerFor(
  kid: string,
  { workspace, deployment, field, origin }: SealedPlace,
  fp?: string,
): string {
  const header: SealedHeader = {
    alg: SEAL_ALG,
    enc: SEAL_ENC,
    kid,
    ws: workspace,
    dep: deployment,
    fld: field,
    org: origin,
    ...(fp !== undefined && { fp }),
  };
  return toBase64url(new TextEncoder().encode(JSON.stringify(header)));
}

/** The compact form of a sealed value, from its text or JSON form. Null: it is not sealed. */
export function compactOf(value: unknown): string | null {
  if (isSealedText(value)) return value.slice(SEALED_PREFIX.length);
  if (typeof value !== "object" || value === null || !("sealed" in value)) return null;
  const { sealed } = value;
  return typeof sealed === "string" && isSealedJson(value) ? sealed : null;
}

/** A compact JWE as a text field holds it. */
export function asSealedText(compact: string): string {
  return `${SEALED_PREFIX}${compact}`;
}

/** A compact JWE as a JSON field holds it. */
export function asSealedJson(compact: string): SealedJson {
  return { sealed: compact };
}

/** A compact JWE as its field holds it: a text, an object, or the body of an artifact. */
export function asSealed(
  compact: string,
  { field, form }: { field: SealedField; form: "text" | "json" },
): string | SealedJson | { kind: "sealed"; sealed: string } {
  if (form === "text") return asSealedText(compact);
  return field === "artifact" ? { kind: "sealed", sealed: compact } : asSealedJson(compact);
}

/** Takes a compact JWE apart. @throws SealError `malformed`. */
export function partsOf(compact: string): SealedParts {
  if (!isCompact(compact)) throw malformed("is not a compact JWE with direct encryption");
  const [aad = "", , iv = "", ciphertext = "", tag = ""] = compact.split(".");
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(fromBase64url(aad)));
  } catch {
    throw malformed("has an unreadable header");
  }
  const parsed = SealedHeader.safeParse(header);
  if (!parsed.success) throw malformed("has a header with other fields or algorithms than dir and A256GCM");
  return { header: parsed.data, aad, iv, ciphertext, tag };
}

/** The protected header of a sealed value of either form. Nothing of it is verified. Null: it is not sealed. */
export function sealedHeaderOf(value: unknown): SealedHeader | null {
  const compact = compactOf(value);
  try {
    return compact === null ? null : partsOf(compact).header;
  } catch {
    return null;
  }
}

/**
 * What two requests are compared by. Sealing one value twice gives two texts. Their MAC, if the sender gave one, is the same. A value
 * without one stays as it is.
 */
export function comparableValue(value: Json): Json {
  const fp = sealedHeaderOf(value)?.fp;
  return fp === undefined ? value : { fp };
}

/** From what the content key is derived: a value for another place has another key. */
export function keyInfoOf({ ws, dep, fld, org }: Pick<SealedHeader, "ws" | "dep" | "fld" | "org">): string {
  return JSON.stringify(["towpath-seal", ws, dep, fld, org]);
}

/** Where a value may belong. */
export interface ExpectedPlace {
  readonly workspace: string;
  readonly field: SealedField;
  /** Any of these. Missing: the origin alone decides, because run ids are unique. */
  readonly deployments?: readonly string[] | undefined;
  /** Any of these. An entry that ends with `/` means everything below it. */
  readonly origins: readonly string[];
}

/**
 * Checks that a value stands where it was sealed for: the control plane could have moved it.
 * @throws SealError `moved`, which names the part that differs.
 */
export function checkPlace({ ws, dep, fld, org }: SealedHeader, expected: ExpectedPlace): void {
  const differs = (part: string, was: string, is: string) =>
    new SealError(
      "moved",
      `The value was sealed for ${part} "${was}", but stands at "${is}". It was moved after it was sealed. Ask the operator of the control plane why.`,
    );
  if (ws !== expected.workspace) throw differs("the workspace", ws, expected.workspace);
  if (fld !== expected.field) throw differs("the field", fld, expected.field);
  const { deployments, origins } = expected;
  if (deployments !== undefined && !deployments.includes(dep))
    throw differs("the deployment", dep, deployments[0] ?? "none");
  if (!origins.some((origin) => (origin.endsWith("/") ? org.startsWith(origin) : org === origin)))
    throw differs("the origin", org, origins[0] ?? "none");
}

/** The failure of a value whose key is not among those here. */
export function unknownKey(kid: string, known: readonly string[]): SealError {
  const here =
    known.length === 0 ? "There is no workspace key here" : `The workspace keys here are ${known.join(", ")}`;
  return new SealError(
    "unknown-key",
    `The value was sealed with the workspace key ${kid}. ${here}. Add that key to the others.`,
  );
}

/** The failure of a value whose tag is wrong. */
export function damaged(): SealError {
  return new SealError(
    "damaged",
    "The sealed value was changed after it was sealed, or a key with the same id is another one.",
  );
}
