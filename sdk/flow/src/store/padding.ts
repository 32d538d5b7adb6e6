import { roundedSize } from "@towpath/contract/words";

/** The length of the content comes last, as a big-endian integer. */
const LENGTH_BYTES = 8;

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
