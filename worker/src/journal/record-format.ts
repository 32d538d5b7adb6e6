import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

/*
 * A lane's file is one header and then records, all integers little-endian:
 *
 *   header  magic[8] salt[16] reclaimedThroughSeq:u64 checksum[8]
 *   record  length:u32 seq:u64 checksum[8] payload[length]
 *
 * A checksum is the first 8 bytes of SHA-256 over the salt and all that it covers. The salt is random per file, so bytes
 * of another journal, or of this one before it was reclaimed, can never be taken for a record. Sequence
 * numbers rise; they may skip.
 */

const MAGIC = Buffer.from("TOWPJNL1", "latin1");
const SALT_BYTES = 16;
const CHECKSUM_BYTES = 8;

/** Length of a lane file's header in bytes. */
export const FILE_HEADER_BYTES = MAGIC.length + SALT_BYTES + 8 + CHECKSUM_BYTES;
/** Bytes before each payload. */
export const RECORD_HEADER_BYTES = 4 + 8 + CHECKSUM_BYTES;
/** The longest payload of the format: 16 MiB. A greater length in a file is damage. */
export const MAX_RECORD_BYTES = 16 * 1024 * 1024;

/** The header of a lane's file. */
export interface FileHeader {
  readonly salt: Buffer;
  /** Records up to this number were acknowledged and removed to make room; 0 when the file is complete. */
  readonly reclaimedThroughSeq: number;
}

/** What precedes a payload. */
export interface RecordHeader {
  readonly seq: number;
  readonly lengthBytes: number;
  readonly checksum: Buffer;
}

/** A new header with a salt of its own. */
export function newFileHeader(reclaimedThroughSeq: number): FileHeader {
  return { salt: randomBytes(SALT_BYTES), reclaimedThroughSeq };
}

/** Writes a header as bytes. */
export function encodeFileHeader(header: FileHeader): Buffer {
  const seq = Buffer.alloc(8);
  seq.writeBigUInt64LE(BigInt(header.reclaimedThroughSeq));
  return Buffer.concat([MAGIC, header.salt, seq, checksumOf(header.salt, seq)]);
}

/** Reads a header; undefined when these bytes are not a whole one. */
export function decodeFileHeader(bytes: Buffer): FileHeader | undefined {
  if (bytes.length < FILE_HEADER_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  const salt = Buffer.from(bytes.subarray(MAGIC.length, MAGIC.length + SALT_BYTES));
  const seq = bytes.subarray(MAGIC.length + SALT_BYTES, FILE_HEADER_BYTES - CHECKSUM_BYTES);
  const checksum = bytes.subarray(FILE_HEADER_BYTES - CHECKSUM_BYTES, FILE_HEADER_BYTES);
  if (!timingSafeEqual(checksum, checksumOf(salt, seq))) return undefined;
  return { salt, reclaimedThroughSeq: Number(seq.readBigUInt64LE()) };
}

/** Writes a record's header; the payload follows it in the file. */
export function encodeRecordHeader(salt: Buffer, seq: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(RECORD_HEADER_BYTES);
  header.writeUInt32LE(payload.length, 0);
  header.writeBigUInt64LE(BigInt(seq), 4);
  checksumOf(salt, header.subarray(0, 12), payload).copy(header, 12);
  return header;
}

/** Reads a record's header; undefined when its numbers are impossible. The payload decides whether it is real. */
export function decodeRecordHeader(bytes: Buffer): RecordHeader | undefined {
  if (bytes.length < RECORD_HEADER_BYTES) return undefined;
  const lengthBytes = bytes.readUInt32LE(0);
  const seq = Number(bytes.readBigUInt64LE(4));
  if (lengthBytes > MAX_RECORD_BYTES || !Number.isSafeInteger(seq) || seq < 1) return undefined;
  return { seq, lengthBytes, checksum: bytes.subarray(12, RECORD_HEADER_BYTES) };
}

/** Whether payload and header belong together in the file with this salt. */
export function matchesChecksum(salt: Buffer, headerBytes: Buffer, payload: Uint8Array): boolean {
  const expected = checksumOf(salt, headerBytes.subarray(0, 12), payload);
  return timingSafeEqual(expected, headerBytes.subarray(12, RECORD_HEADER_BYTES));
}

/** The checksum of a journal: the first 8 bytes of SHA-256 over the parts. */
export function checksumOf(...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest().subarray(0, CHECKSUM_BYTES);
}
