import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { hashesOf, PLAIN_HASHES } from "../../sdk/flow/src/store/hashes.ts";
import { hashInput } from "../../sdk/flow/src/task/input-hash.ts";
import { deployFlows, inEachLanguage } from "../e2e/languages.fixture.ts";
import { type Stack, startStack, type TestProcess } from "../harness/index.ts";
import { GUESSED, LONG_KEY } from "./guess.fixture.ts";
import { type RecordingProxy, startRecordingProxy } from "./recording-proxy.ts";

const PIN = 4532;
/** All that an attacker tries. */
const PINS = Array.from({ length: 10_000 }, (_, pin) => pin);
/** Shorter runs of digits match by chance. */
const PREFIX_CHARS = 12;

let stack: Stack;
let proxy: RecordingProxy;
let worker: TestProcess;

beforeAll(async () => {
  stack = await startStack();
  proxy = await startRecordingProxy(stack.url);
  worker = await stack.startWorker({ settings: { url: proxy.url } });
});
afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await stack?.[Symbol.asyncDispose]();
});

/** The beginnings of all runs of hex digits, at any offset. */
function hexIn(text: string): Set<string> {
  const found = new Set<string>();
  for (const [run] of text.matchAll(/[0-9a-f]{12,}/g))
    for (let at = 0; at + PREFIX_CHARS <= run.length; at++) found.add(run.slice(at, at + PREFIX_CHARS));
  return found;
}

/** What values of a PIN look like: alone, in containers, in keys, and as inputs of a call. */
function hashesFor(pin: number): string[] {
  const texts = [
    `${pin}`,
    `{"pin":${pin}}`,
    `[${pin}]`,
    `pin ${pin}`,
    `${LONG_KEY}${pin}`,
    `[${pin},${pin + 1}]`,
  ];
  const cacheKeys = [["key", `pin ${pin}`]];
  const inputs = [[pin], [{ pin }], [{ map: [pin, pin + 1] }], [{ map: [`${LONG_KEY}${pin}`] }]];
  // Also with a key that somebody could try.
  const hashes = [PLAIN_HASHES, hashesOf([Buffer.alloc(32).toString("base64url")])];
  return [
    ...texts.map((text) => createHash("sha256").update(text).digest("hex")),
    ...cacheKeys.map((key) => PLAIN_HASHES.name(JSON.stringify([key]))),
    ...hashes.flatMap((one) => inputs.map((args) => hashInput({ what: "t", hashes: one }, args))),
  ];
}

/** The PINs of which a hash stands in a text. */
function guessedIn(text: string): number[] {
  const seen = hexIn(text);
  return PINS.filter((pin) => hashesFor(pin).some((hash) => seen.has(hash.slice(0, PREFIX_CHARS))));
}

test("the attack finds a value whose plain hash is anywhere in a text", () => {
  for (const hash of hashesFor(PIN))
    expect(guessedIn(`{"path":"look:${hash.slice(0, 16)}#2"}`)).toContain(PIN);
});

inEachLanguage((language) => {
  test("no hash that left the worker can be guessed, and a second run finds what the first has cached", async () => {
    await deployFlows(stack, language, GUESSED);
    const read = join(stack.folder, `${language}.pin`);
    await writeFile(read, String(PIN));
    const from = proxy.requests.length;
    for (let n = 0; n < 2; n++) {
      const { state } = await stack.waitForRun(await stack.run(`guess@${language}`, { read }));
      expect(state, worker.output()).toBe("completed");
    }
    const sent = proxy.requests
      .slice(from)
      .map(({ body }) => body.toString("utf8"))
      .join("\n");
    const forms = [/"path":"look:[0-9a-f]{16}"/, /"sha256":"[0-9a-f]{64}"/, /keyed:~[0-9a-f]{32}/];
    expect(
      forms.filter((form) => !form.test(sent)),
      "forms that did not leave",
    ).toEqual([]);
    expect(sent.match(/took its result from the cache/g)).toHaveLength(2);
    expect(guessedIn(sent)).toEqual([]);
  });
});
