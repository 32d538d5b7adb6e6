/** The limits of fetched code. Code that reaches one is refused. */
export interface CodeLimits {
  /** Bytes of all files of one tree. @default 1 GiB */
  readonly totalBytes: number;
  /** Bytes of one file. @default 256 MiB */
  readonly fileBytes: number;
  /** Files, directories and links of one tree. @default 50,000 */
  readonly entries: number;
  /** Components of a path. @default 32 */
  readonly pathDepth: number;
  /** Bytes of a path in UTF-8; one component may take 255. @default 1,024 */
  readonly pathBytes: number;
  /** Unpacked bytes for each packed byte, counted after the first 16 MiB. @default 100 */
  readonly compressionRatio: number;
  /** Bytes fetched for one tree: an OCI layer, all layers together, or git's pack. @default 512 MiB */
  readonly packedBytes: number;
  /** Bytes of an OCI manifest. @default 1 MiB */
  readonly manifestBytes: number;
  /** Layers of an OCI manifest. @default 16 */
  readonly layers: number;
  /** Time to fetch and unpack one tree, milliseconds. @default 5 minutes */
  readonly timeMs: number;
}

const MIB = 1024 * 1024;

/** Unpacked bytes below which the compression ratio does not count: 16 MiB. */
export const RATIO_FLOOR_BYTES = 16 * MIB;

/** The limits of a worker without limits of its own. */
export const DEFAULT_CODE_LIMITS: CodeLimits = {
  totalBytes: 1024 * MIB,
  fileBytes: 256 * MIB,
  entries: 50_000,
  pathDepth: 32,
  pathBytes: 1_024,
  compressionRatio: 100,
  packedBytes: 512 * MIB,
  manifestBytes: MIB,
  layers: 16,
  timeMs: 5 * 60 * 1000,
};
