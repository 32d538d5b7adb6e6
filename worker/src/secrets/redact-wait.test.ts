import { expect, test } from "vitest";
import { createRedactor } from "./redact.ts";
import { redactPath, redactWait } from "./redact-record.ts";

const redactor = createRedactor(new Map([["warehouse", "hunter2-hunter2"]]));

test("a question leaves without secrets, in its title and anywhere in its schema", () => {
  const asked = redactWait(redactor, {
    kind: "input",
    title: "Use hunter2-hunter2?",
    who: "operator",
    schema: { type: "string", enum: ["hunter2-hunter2"], description: "not hunter2-hunter2" },
  });
  expect(JSON.stringify(asked)).not.toContain("hunter2");
  expect(asked).toMatchObject({ title: "Use [secret:warehouse]?" });
});

test("a path is redacted in the same way everywhere", () => {
  expect(redactPath(redactor, "wait:input:Use hunter2-hunter2?")).toBe("wait:input:Use [secret:warehouse]?");
});
