import { expect, test } from "vitest";
import { createRedactor } from "./redact.ts";

const JSON_SECRET = JSON.stringify({
  user: "loader-bot",
  nested: { key: "s3cr3t/key", list: ["third-one"], port: 5432 },
  url: "https://me:in-an-url@host/db",
});

test.each([
  ["a text of a JSON secret", JSON_SECRET, "got loader-bot"],
  ["a nested text of a JSON secret", JSON_SECRET, "got s3cr3t/key"],
  ["a listed text of a JSON secret", JSON_SECRET, "got third-one"],
  ["the password of an address within a JSON secret", JSON_SECRET, "got in-an-url"],
  ["the password of an address", "postgres://app:p4ss/w@rd@db.internal:5432/prod", "got p4ss/w@rd"],
  ["the password of an address, decoded", "postgres://app:p4ss%2Fword@db/prod", "got p4ss/word"],
  ["the password of an address without a scheme", "app:p4ssword@tcp(db:3306)/prod", "got p4ssword"],
  [
    "a named password of an address",
    "jdbc:postgresql://db/prod?user=app&password=p4ssword&ssl=1",
    "got p4ssword",
  ],
  ["a named password of a connection string", "host=db password='p4ss word' user=app", "got p4ss word"],
  ["another letter case", "Correct-Horse", "got CORRECT-hORSE"],
  ["letters as \\u", "correct-horse", "got \\u0063orr\\u0065ct-horse"],
  ["letters as \\\\u, in JSON within JSON", "correct-horse", "got \\\\u0063orrect-horse"],
  ["letters as %", "correct-horse", "got %63orrect%2Dho%72se"],
  ["letters as %, encoded twice", "correct-horse", "got %2563orrect-horse"],
])("%s is known", (_, secret, text) => {
  expect(createRedactor(new Map([["k", secret]])).text(text)).toBe("got [secret:k]");
});

test("a text with escapes of plain letters and no secret stays as it is", () => {
  const text = "%41bc \\u0041bc";
  expect(createRedactor(new Map([["k", JSON_SECRET]])).text(text)).toBe(text);
});

test("a number or a name within a JSON secret is ordinary text", () => {
  const { text } = createRedactor(new Map([["k", JSON_SECRET]]));
  expect(text("nested port 5432 user")).toBe("nested port 5432 user");
});
