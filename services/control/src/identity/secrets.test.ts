import { uuidv7 } from "@towpath/contract";
import fc from "fast-check";
import { expect, test } from "vitest";
import { formatKey, hashSecret, isSecret, newSecret, parseKey } from "./secrets.ts";

test("a key is parsed into the parts from which it was formatted, with any secret", () => {
  fc.assert(
    fc.property(fc.constantFrom("api" as const, "worker" as const), fc.nat(), (kind, ms) => {
      const parts = { kind, id: uuidv7(ms), secret: newSecret() };
      const text = formatKey(parts);
      expect(text).toMatch(/^twp_(api|wkr)_[0-9a-f]{32}_[\w-]{43}$/);
      expect(parseKey(text)).toEqual(parts);
    }),
  );
});

test("a text that is not a key is refused", () => {
  fc.assert(fc.property(fc.string(), (text) => parseKey(text) === null));
  const good = formatKey({ kind: "api", id: uuidv7(0), secret: newSecret() });
  for (const bad of [`${good}x`, good.slice(0, -1), good.toUpperCase(), ` ${good}`, `${good}\n`])
    expect(parseKey(bad)).toBeNull();
});

test("only the hashed secret matches", () => {
  const secret = newSecret();
  expect(isSecret(secret, hashSecret(secret))).toBe(true);
  expect(isSecret(newSecret(), hashSecret(secret))).toBe(false);
  expect(isSecret(secret, new Uint8Array(0))).toBe(false);
});
