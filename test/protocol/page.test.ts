import { readFileSync } from "node:fs";
import { FlowCall, FlowRecord, fieldsOf, flowRecordsMax, GATEWAY_ENV, LIMITS } from "@towpath/contract";
import { expect, test } from "vitest";
import { PAGE, withVectors } from "./page.ts";
import { readVectors, requestBytes } from "./vector.ts";

const page = readFileSync(PAGE, "utf8");

test("the run protocol's page shows exactly the vectors (npm run reference writes it)", () => {
  expect(withVectors(page, readVectors())).toBe(page);
});

test("a missing vector and a changed vector on the page are noticed", () => {
  const vectors = readVectors();
  expect(withVectors(page, vectors.slice(1))).not.toBe(page);
  expect(
    withVectors(page, [...vectors.slice(1), { ...vectors[0], title: "Another" }] as typeof vectors),
  ).not.toBe(page);
});

test("the page names exactly the environment variables that exist", () => {
  const named = new Set(page.match(/\bTOWPATH_[A-Z_]+/g));
  expect([...named].sort()).toEqual(Object.values(GATEWAY_ENV).sort());
});

test("the page names every field that a process may send", () => {
  const [, prose = ""] = page.split("## Records");
  const fields = [...fieldsOf(FlowRecord), ...fieldsOf(FlowCall)].map(
    (field) => field.split(".").at(-1) ?? "",
  );
  for (const field of new Set(fields)) expect(prose, field).toContain(`\`${field.replace("[]", "")}\``);
});

test("the page gives the right limits", () => {
  const text = page.replaceAll(",", "");
  for (const limit of [flowRecordsMax, LIMITS.recordBytes / 1024 / 1024, LIMITS.artifactBytes / 1024])
    expect(text).toMatch(new RegExp(`\\b${limit} (records|MiB|KiB)`));
});

test("every vector's request has the right content length", () => {
  for (const { file, exchanges } of readVectors()) {
    for (const step of exchanges) {
      if ("cancel" in step) continue;
      const text = requestBytes(step.request);
      const told = /^Content-Length: (\d+)$/m.exec(step.request.head.join("\n"))?.[1] ?? "0";
      expect(text.length - text.indexOf("\r\n\r\n") - 4, file).toBe(Number(told));
    }
  }
});
