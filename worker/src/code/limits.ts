/** What fetched code may cost. All are caps: reaching one refuses the code. */
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
  /** Unpacked bytes per packed byte, counted once the first 16 MiB are out. @default 100 */
  readonly compressionRatio: number;
  /** Bytes fetched for one tree: an OCI layer, all layers together, or git's pack. @default 512 MiB */
  readonly packedBytes: number;
  /** Bytes of an OCI manifest. @default 1 MiB */
  readonly manifestBytes: number;
  /** Layers of an OCI manifest. @default 16 */
  readonly layers: number;
  /** Time for fetching and unpacking one tree, in milliseconds. @default 5 minutes */
  readonly timeMs: number;
}

const MIB = 1024 * 1024;

/** Unpacked bytes below which no compression ratio is suspicious: 16 MiB. */
export const RATIO_FLOOR_BYTES = 16 * MIB;

/** The limits of a worker that was given none. */
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
