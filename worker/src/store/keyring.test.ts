import { mkdir, mkdtempDisposable, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { openBucket } from "./bucket.fixture.ts";
import { derivedKey, keyId, openKeyring } from "./keyring.ts";

const folder = () => mkdtempDisposable(join(tmpdir(), "twp-keyring-"));
const at = (path: string) => ({ root: pathToFileURL(path).href });
const now = () => "2026-01-15T12:00:00.000Z";
const EIGHT = Array.from({ length: 8 });

test("workers that need a key at the same time read the same one, which only their user can read", async () => {
  await using home = await folder();
  const root = join(home.path, "store");
  const rings = await Promise.all(EIGHT.map(() => openKeyring(at(root), { configured: [], now })));
  expect(new Set(rings.map(([key]) => key?.id)).size).toBe(1);
  expect(rings[0]?.[0]?.secret.byteLength).toBe(32);
  expect(await readdir(root)).toEqual(["towpath-key.json"]);
  expect((await stat(join(root, "towpath-key.json"))).mode & 0o777).toBe(0o600);
});

test("a bucket gets one key from several workers", async () => {
  await using bucket = await openBucket();
  const rings = await Promise.all(EIGHT.map(() => openKeyring(bucket.store, { configured: [], now })));
  expect(new Set(rings.map(([key]) => key?.id)).size).toBe(1);
  expect([...bucket.objects.keys()]).toEqual(["/values/of%20flows/towpath-key.json"]);
});

test("configured keys come first, and the generated key of before still counts", async () => {
  await using home = await folder();
  const [generated] = await openKeyring(at(home.path), { configured: [], now });
  const configured = ["a", "b"].map((letter) => Buffer.from(letter.repeat(32)));
  const later = () => "2026-02-01T00:00:00.000Z";
  const ring = await openKeyring(at(home.path), { configured, now: later });
  expect(ring.map(({ id, sinceMs }) => [id, sinceMs])).toEqual([
    [keyId(configured[0] ?? new Uint8Array()), Date.parse(later())],
    [keyId(configured[1] ?? new Uint8Array()), null],
    [generated?.id, Date.parse(now())],
  ]);
  // The note of a configured key holds no key.
  const note = await readFile(join(home.path, `towpath-key-${ring[0]?.id}.json`), "utf8");
  expect(JSON.parse(note)).toEqual({ format: 1, since: later() });
});

test("a damaged key is an error that does not repeat it", async () => {
  await using home = await folder();
  await mkdir(home.path, { recursive: true });
  const secret = "x".repeat(20);
  await writeFile(join(home.path, "towpath-key.json"), secret);
  const opening = openKeyring(at(home.path), { configured: [], now });
  await expect(opening).rejects.toThrow("is damaged. Restore it from a backup.");
  await expect(opening).rejects.not.toThrow(secret.slice(0, 5));
});

test("each use and workspace has a key of its own", () => {
  const key = { secret: Buffer.from("k".repeat(32)) };
  const derived = [
    derivedKey(key, "hash", "one"),
    derivedKey(key, "ref", "one"),
    derivedKey(key, "hash", "other"),
  ];
  expect(new Set(derived.map((one) => one.toString("hex"))).size).toBe(3);
});
