import { inspect } from "node:util";
import { type BulkRecord, type ControlRecord, flowTextChars, type Json, LIMITS } from "@towpath/contract";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  createRedactor,
  redactBulk,
  redactControl,
  redactError,
  secretParts,
  type Unnumbered,
} from "./index.ts";

/** Names as the contract allows them. */
const names = fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,10}$/);
const values = fc.oneof(
  fc.string({ minLength: 4, maxLength: 24, unit: "binary" }),
  fc.string({ minLength: 4, maxLength: 24 }),
  fc.constantFrom(
    "secret",
    "[secret:a]",
    "**a*",
    "pass\nword-two\r\nline three",
    'quo"te\\d',
    "[sec",
    "x\0yz!",
  ),
);
const secrets = fc
  .array(fc.tuple(names, values), { minLength: 1, maxLength: 4 })
  .map((pairs) => new Map(pairs));

/** A part of a secret as other programs would write it. */
function formsOf(part: string): string[] {
  const bytes = Buffer.from(part);
  const userinfo = new URL("https://host/");
  userinfo.password = part;
  return [
    part,
    JSON.stringify(part).slice(1, -1),
    JSON.stringify(JSON.stringify(part)).slice(3, -3),
    inspect(part).slice(1, -1),
    encodeURIComponent(part),
    encodeURIComponent(part).replace(/%../g, (hex) => hex.toLowerCase()),
    encodeURIComponent(encodeURIComponent(part)),
    part.replace(/[^A-Za-z0-9_]/g, "\\$&"),
    encodeURI(part),
    userinfo.password,
    new URLSearchParams({ x: part }).toString().slice(2),
    bytes.toString("hex"),
    bytes.toString("hex").toUpperCase(),
    bytes.toString("base64"),
    bytes.toString("base64url"),
  ].filter((form) => form.length >= 4);
}
const secretForms = (value: string) =>
  secretParts(value).flatMap((part) => [
    part,
    ...formsOf(part).filter((form) => form !== "" && isPlain(part)),
  ]);
// Characters that no database takes, and those that inspect or URLs leave out, are not written as they were.
const isPlain = (part: string) => /^[\x20-\x7e]+$/.test(part) && part.trim() === part && !/["'`]/.test(part);

function shapes(value: string): fc.Arbitrary<string> {
  const bytes = Buffer.from(value);
  return fc.oneof(
    fc.constant(value),
    fc.constant(JSON.stringify({ value })),
    fc.constant(encodeURIComponent(value.toWellFormed())),
    fc.constant(bytes.toString("base64")),
    fc.constant(bytes.toString("base64url")),
    fc.string({ maxLength: 7 }).map((user) => Buffer.from(`${user}:${value}:x`).toString("base64")),
    fc.constantFrom(...value.split(/\r\n|\r|\n/)),
    fc.constantFrom(...formsOf(value.toWellFormed())),
  );
}

const hostile = secrets.chain((known) =>
  fc.record({
    known: fc.constant(known),
    text: fc
      .array(fc.oneof(fc.string({ maxLength: 12 }), ...[...known.values()].map(shapes)), { maxLength: 8 })
      .map((parts) => parts.join("")),
  }),
);

test("no redacted text holds any form of any secret", () => {
  fc.assert(
    fc.property(hostile, ({ known, text }) => {
      const clean = createRedactor(known).text(text);
      for (const value of known.values())
        for (const form of secretForms(value)) expect(clean.includes(form)).toBe(false);
    }),
    { numRuns: 500 },
  );
});

test("a text without secrets stays as it is, and one with a secret names it", () => {
  const redactor = createRedactor(new Map([["db", "hunter2!"]]));
  expect(redactor.text("nothing here")).toBe("nothing here");
  expect(redactor.text("postgres://me:hunter2!@host")).toBe("postgres://me:[secret:db]@host");
  expect(
    redactor.text(JSON.stringify({ basic: Buffer.from("me:hunter2!").toString("base64") })),
  ).not.toContain(Buffer.from("hunter2!").toString("base64").slice(0, 6));
});

test("base64 is recognized in the lines into which programs break it", () => {
  const value = Array.from({ length: 40 }, (_, index) => `word-${index}`).join(" ");
  const redactor = createRedactor(new Map([["long", value]]));
  for (const most of [76, 64]) {
    for (const text of [value, `${value}\n`]) {
      const lines =
        Buffer.from(text)
          .toString("base64")
          .match(new RegExp(`.{1,${most}}`, "g")) ?? [];
      expect(lines.length).toBeGreaterThan(3);
      for (const line of lines) expect(redactor.text(`  ${line}`)).not.toContain(line.slice(0, 16));
    }
  }
});

test("the time for a text of many escapes is proportional to its length", () => {
  const redactor = createRedactor(new Map([["odd", `${"\\- \\/".repeat(40)}end`]]));
  const text = "\\\\- \\\\/".repeat(2_000);
  expect(redactor.text(text)).toBe(text);
});

test("values shorter than four characters do not blot out the text", () => {
  expect(createRedactor(new Map([["pin", "123"]])).text("123 sheep")).toBe("123 sheep");
});

test("characters that no database takes are replaced", () => {
  expect(createRedactor(new Map()).text("a\0b\ud800c")).toBe("a\ufffdb\ufffdc");
});

test("every free text of every record is redacted", () => {
  const value = "correct horse";
  const redactor = createRedactor(new Map([["k", value]]));
  const at = "2026-01-01T00:00:00.000Z";
  const error = { name: value, message: value, stack: value };
  const result = { uri: `file:///${value}`, codec: "json", sizeBytes: 1, sha256: "0".repeat(64) } as const;
  const control: Unnumbered<ControlRecord>[] = [
    { type: "released", at, reason: value },
    { type: "task", at, path: value, name: value, move: "fail", tries: 1, error, result },
    {
      type: "ended",
      at,
      outcome: "failed",
      cause: "error",
      error,
      result,
      exitCode: 1,
      lastBulkSeq: 0,
      failedBy: [value],
    },
  ];
  const cell: Json = { [value]: [value, 1, null] };
  const bodies: Extract<BulkRecord, { type: "artifact" }>["body"][] = [
    { kind: "markdown", text: value },
    { kind: "table", columns: [value], rows: [[value, cell]] },
    { kind: "progress", done: 1, total: null, unit: value },
    { kind: "image", mediaType: "image/png", base64: Buffer.from(value).toString("base64") },
    { kind: "link", url: `https://host/${encodeURIComponent(value)}`, text: value },
  ];
  const bulk: Unnumbered<BulkRecord>[] = [
    { type: "log", firstLine: 0, lines: [{ at, level: "info", stream: "log", text: value, task: value }] },
    { type: "gap", firstLine: 0, lines: 1, reason: value },
    ...bodies.map((body) => ({ type: "artifact", at, key: value, title: value, task: value, body }) as const),
  ];
  const text = JSON.stringify([
    control.map((record) => redactControl(redactor, record)),
    bulk.map((record) => redactBulk(redactor, record)),
  ]);
  for (const form of secretForms(value)) expect(text).not.toContain(form);
});

test("a number in a table that spells a secret is redacted", () => {
  const redactor = createRedactor(new Map([["pin", "20260101"]]));
  const record = redactBulk(redactor, {
    type: "artifact",
    at: "2026-01-01T00:00:00.000Z",
    key: "k",
    title: "",
    task: null,
    body: { kind: "table", columns: ["n"], rows: [[20260101], [7]] },
  });
  expect(record).toMatchObject({ body: { rows: [["[secret:pin]"], [7]] } });
});

test("characters that encodings escape differently are recognized in any mixture", () => {
  const value = 's3cr3t/+=:@"q\\uo t&é';
  const { text } = createRedactor(new Map([["k", value]]));
  const mixed = 's3cr3t%2f+=%3A@\\"q\\\\uo+t&amp;\\u00e9';
  expect(text(`a ${mixed} b`)).toBe("a [secret:k] b");
  expect(
    text(
      `<Buffer ${Buffer.from("pass-word")
        .toString("hex")
        .replace(/..(?=.)/g, "$& ")}>`,
    ),
  ).toContain("70");
  expect(createRedactor(new Map([["p", "pass-word"]])).text("70 61 73 73 2d 77 6f 72 64")).toBe("[secret:p]");
});

test("many backslashes and long secrets take no more than a moment", () => {
  const secrets = new Map([
    ["slashes", `${"\\".repeat(40)}x`],
    ["long", "ab/c".repeat(16_000)],
    ["quotes", '"'.repeat(200)],
  ]);
  const { text } = createRedactor(secrets);
  const began = performance.now();
  text("\\".repeat(30_000));
  text("ab/c".repeat(8_000));
  text('\\"'.repeat(10_000));
  expect(performance.now() - began).toBeLessThan(30_000);
});

test("an error is redacted before it is cut, and a text that was cut before does not end in half a secret", () => {
  const value = "correct horse battery staple";
  const redactor = createRedactor(new Map([["k", value]]));
  const across = redactError(redactor, { name: "E", message: "x".repeat(LIMITS.messageChars - 8) + value });
  expect(across.message).not.toContain("corr");
  expect(across.message).toHaveLength(LIMITS.messageChars);
  const secretsOnly = value.repeat(5_000).slice(0, flowTextChars);
  expect(secretsOnly.endsWith("staple")).toBe(false);
  const { message } = redactError(redactor, { name: "E", message: secretsOnly });
  for (const word of ["correct", "horse", "battery"]) expect(message).not.toContain(word);
});
