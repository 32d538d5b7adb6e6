import { z } from "zod";
import { CodeError } from "./code-error.ts";
import type { CodeLimits } from "./limits.ts";

const MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json";
const LAYER_TYPES = [
  "application/vnd.oci.image.layer.v1.tar+gzip",
  "application/vnd.towpath.code.v1.tar+gzip",
] as const;

/** The manifest of code: an image whose layers are gzipped tar archives. */
export type Manifest = z.infer<ReturnType<typeof manifestSchema>>;

function manifestSchema(limits: CodeLimits) {
  const layer = z.object({
    mediaType: z.enum(LAYER_TYPES),
    digest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
    size: z.int().positive(),
  });
  return z.object({
    schemaVersion: z.literal(2),
    mediaType: z.literal(MANIFEST_TYPE),
    layers: z.array(layer).min(1).max(limits.layers),
  });
}

/** A layer of a manifest. */
export type Layer = Manifest["layers"][number];

/**
 * Reads a manifest whose digest was checked.
 * @throws CodeError `bad-manifest`; `too-large` when its layers are together larger than the limit.
 */
export function parseManifest(bytes: Buffer, limits: CodeLimits): Manifest {
  const manifest = manifestIn(bytes, limits);
  const packedBytes = manifest.layers.reduce((sum, layer) => sum + layer.size, 0);
  if (packedBytes > limits.packedBytes) {
    throw new CodeError("too-large", `The code's layers are larger than ${limits.packedBytes} bytes.`);
  }
  return manifest;
}

function manifestIn(bytes: Buffer, limits: CodeLimits): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString("utf8"));
  } catch (cause) {
    throw new CodeError("bad-manifest", "The code's manifest is not JSON.", { cause });
  }
  const parsed = manifestSchema(limits).safeParse(value);
  if (parsed.success) return parsed.data;
  const field = parsed.error.issues[0]?.path.join(".") || "itself";
  throw new CodeError("bad-manifest", `The code's manifest has an unexpected ${field}.`, {
    cause: parsed.error,
  });
}
