import { deflateSync, gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { newCanaries } from "./canaries.ts";
import { createScanner, formsOf } from "./scan.ts";

const canaries = newCanaries();
const canary = canaries.get("answer") ?? "";
const said = JSON.stringify({ said: `before ${canary} after` });
const base64 = (text: string | Buffer, shift = 0) =>
  Buffer.concat([Buffer.alloc(shift, "x"), Buffer.from(text)]).toString("base64");
const escaped = (prefix: string) =>
  [...canary].map((one) => prefix + one.charCodeAt(0).toString(16)).join("");
/** As Postgres compresses a text that has nothing to shorten: a byte of flags before each eight bytes. */
const flagged = (text: string, first: number) =>
  Buffer.from(
    text.slice(first).replace(/.{1,8}/gs, (piece) => `\0${piece}`),
    "latin1",
  );

const HIDING = {
  plain: Buffer.from(said),
  "in base64": Buffer.from(base64(said)),
  "in base64, one byte on": Buffer.from(base64(said, 1)),
  "in base64, two bytes on": Buffer.from(base64(said, 2)),
  "in base64 for URLs": Buffer.from(`https://x/${Buffer.from(said).toString("base64url")}?`),
  "in hex": Buffer.from(`\\x${Buffer.from(said).toString("hex")}`),
  "in upper hex": Buffer.from(Buffer.from(said).toString("hex").toUpperCase()),
  "with JSON escapes": Buffer.from(escaped("\\u00")),
  "with upper JSON escapes": Buffer.from(escaped("\\u00").toUpperCase().replaceAll("\\U", "\\u")),
  "with URL escapes": Buffer.from(encodeURIComponent(said)),
  "with escapes of every letter": Buffer.from(escaped("%")),
  "in UTF-16, little-endian": Buffer.from(said, "utf16le"),
  "in UTF-16, big-endian": Buffer.from(said, "utf16le").swap16(),
  "in base64 of UTF-16": Buffer.from(base64(Buffer.from(said, "utf16le"), 1)),
  "in base64 of base64": Buffer.from(base64(base64(said, 1), 2)),
  "in base64 of hex of base64": Buffer.from(base64(Buffer.from(base64(said, 1)).toString("hex"))),
  "in gzip": Buffer.concat([Buffer.from("data: "), gzipSync(said), Buffer.from("\n\n")]),
  "in gzip that is not complete": gzipSync(said.repeat(9)).subarray(0, -12),
  "in deflate": Buffer.concat([Buffer.from("xx"), deflateSync(said)]),
  "in base64 of gzip": Buffer.from(base64(gzipSync(said))),
  "in Postgres's compression": flagged(said, 0),
  "in Postgres's compression, elsewhere": flagged(said, 5),
  "at the very end": Buffer.from(canary),
};

test.for(Object.entries(HIDING))("a canary is found %s", ([, bytes]) => {
  expect([...createScanner(canaries).kindsIn(bytes)]).toEqual(["answer"]);
});

test("a scan without one of its forms misses a canary in that form", () => {
  const all = [...formsOf("any text of some length").keys()];
  const missed = (form: string) => {
    const scanner = createScanner(
      canaries,
      all.filter((one) => one !== form),
    );
    return Object.entries(HIDING).flatMap(([name, bytes]) =>
      scanner.kindsIn(bytes).size === 0 ? [name] : [],
    );
  };
  // What is in base64 or hex is also found by taking the encoding off, unless the run is cut.
  expect(missed("plain")).toEqual(expect.arrayContaining(["plain", "in gzip", "in Postgres's compression"]));
  expect(missed("JSON escapes")).toEqual(["with JSON escapes", "with upper JSON escapes"]);
  expect(missed("URL escapes")).toEqual(["with escapes of every letter"]);
  expect(missed("UTF-16")).toEqual(
    expect.arrayContaining(["in UTF-16, little-endian", "in UTF-16, big-endian"]),
  );
});

test("other canaries, other texts and compressed noise are not found", () => {
  const others = [...newCanaries().values()].join("\n");
  const noise = [others, base64(others), gzipSync(others), deflateSync(base64(others)), "x".repeat(10_000)];
  for (const one of noise) expect([...createScanner(canaries).kindsIn(Buffer.from(one))]).toEqual([]);
});
