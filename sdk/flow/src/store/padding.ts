/** The smallest stored size of a padded value, bytes: below, sizes tell most about values. */
const SIZE_MIN = 1_024;
/** The length of the content comes last, as a big-endian integer. */
const LENGTH_BYTES = 8;

/**
 * The size to which bytes are rounded up: few sizes exist, and at most 12 % are added.
 * Source: PADMÉ, in "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs" (2019).
 */
export function roundedSize(bytes: number): number {
  if (bytes <= SIZE_MIN) return SIZE_MIN;
  const exponent = Math.floor(Math.log2(bytes));
  const step = 2 ** (exponent - (Math.floor(Math.log2(exponent)) + 1));
  return Math.ceil(bytes / step) * step;
}

/** Content, zeros up to a rounded size, and the content's length. */
export function padded(content: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(roundedSize(content.byteLength + LENGTH_BYTES));
  bytes.set(content);
  new DataView(bytes.buffer).setBigUint64(bytes.byteLength - LENGTH_BYTES, BigInt(content.byteLength));
  return bytes;
}

/** The content of padded bytes; null for bytes that `padded` has not made. */
export function unpadded(bytes: Uint8Array): Uint8Array | null {
  const end = bytes.byteLength - LENGTH_BYTES;
  if (end < 0) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getBigUint64(end);
  if (length > BigInt(end) || roundedSize(Number(length) + LENGTH_BYTES) !== bytes.byteLength) return null;
  return bytes.subarray(0, Number(length));
}
