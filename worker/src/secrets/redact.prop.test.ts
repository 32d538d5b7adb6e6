import type { BulkRecord, ControlRecord, Json } from "@towpath/contract";
import fc from "fast-check";
import { expect, test } from "vitest";
import { createRedactor, redactBulk, redactControl, secretForms, type Unnumbered } from "./index.ts";

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

test("values shorter than four characters do not blot out the text", () => {
  expect(createRedactor(new Map([["pin", "123"]])).text("123 sheep")).toBe("123 sheep");
});

test("what no database takes is replaced", () => {
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
    { type: "ended", at, outcome: "failed", cause: "error", error, result, exitCode: 1, lastBulkSeq: 0 },
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
