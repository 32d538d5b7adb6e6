const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** Formats 16 bytes as a UUID string. */
function formatUuid(bytes: Uint8Array): string {
  const hex = Array.from(bytes, (byte) => HEX[byte]).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** The counter's largest value: 12 bits. */
const COUNT_MAX = 0xfff;

/** What the last id was made for, the millisecond that it holds, and its counter. */
const latest = { nowMs: -1, ms: -1, count: 0 };

/**
 * Counts the ids of one millisecond, from a random number on. Past the counter's end they borrow from the next millisecond,
 * as the RFC allows, so that they go on sorting in the order in which they were made.
 */
function countOn(nowMs: number, random: number): { ms: number; count: number } {
  const goesOn = nowMs === latest.nowMs || (nowMs > latest.nowMs && nowMs <= latest.ms);
  latest.nowMs = nowMs;
  if (!goesOn) {
    latest.ms = nowMs;
    latest.count = random >> 1;
  } else if (latest.count < COUNT_MAX) {
    latest.count += 1;
  } else {
    latest.ms += 1;
    latest.count = 0;
  }
  return latest;
}

/**
 * Makes a UUIDv7 (RFC 9562): 48 bits of milliseconds, 12 of a counter, then random bits. Sorts by time of creation; ids that
 * one process makes for one millisecond sort in the order in which they were made.
 * @param nowMs Unix time in milliseconds; callers pass their clock's.
 */
export function uuidv7(nowMs: number): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const random = (((bytes[6] ?? 0) << 8) | (bytes[7] ?? 0)) & COUNT_MAX;
  const { ms, count } = countOn(Math.trunc(nowMs), random);
  let rest = ms;
  for (let index = 5; index >= 0; index--) {
    bytes[index] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  bytes[6] = (count >> 8) | 0x70;
  bytes[7] = count & 0xff;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return formatUuid(bytes);
}

/**
 * Derives a UUID from text, so that the same cause always names the same thing: a repeated call is the same run.
 * UUIDv8 over SHA-256, with the time prefix of `near` so that derived ids still sort by time.
 * @param near A UUIDv7 whose first 48 bits are taken over.
 */
export async function derivedId(near: string, text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(derivedFrom(near, text)));
  return idOfDigest(near, new Uint8Array(digest));
}

/** What a derived id is the SHA-256 of. */
export function derivedFrom(near: string, text: string): string {
  return `${near}\n${text}`;
}

/** The id that `derivedId` answers, for a caller that has hashed what `derivedFrom` says by itself: thousands at once. */
export function idOfDigest(near: string, digest: Uint8Array): string {
  const bytes = digest.slice(0, 16);
  const prefix = near.replaceAll("-", "").slice(0, 12);
  for (let index = 0; index < 6; index++)
    bytes[index] = Number.parseInt(prefix.slice(index * 2, index * 2 + 2), 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return formatUuid(bytes);
}

/** Whether an id was derived from a text, so that nobody could choose it: UUIDv8. */
export function isDerivedId(id: string): boolean {
  return id[14] === "8";
}

/** The smallest UUID whose time prefix is `ms`: a bound for partitions and range scans. */
export function idFloor(ms: number): string {
  const hex = Math.trunc(ms).toString(16).padStart(12, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`;
}

/** How many characters of an id's end stand for it on screens. */
const SHORT_LENGTH = 8;

/**
 * The end of an id, for people: ids begin with their time, so that those of one minute begin alike. Commands that take a run
 * take this too.
 */
export function shortId(id: string): string {
  return id.slice(-SHORT_LENGTH);
}
