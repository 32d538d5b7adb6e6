import type { Client } from "@towpath/client";
import { expect, test } from "vitest";
import { caught } from "../fixture.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { createOutput } from "../output.ts";
import { answerRun } from "./answer.ts";

const ID = "0193a0b1-7c00-7000-8000-000000000001";

/** Answers the only question of a run with one word. */
async function answered(schema: object, value: string): Promise<unknown> {
  const question = { id: "w", path: "ship", title: "Ship it?", kind: "input", state: "open", schema };
  const client = {
    listRuns: async () => ({ items: [{ id: ID }], next: null }),
    getRun: async () => ({ id: ID }),
    listWaits: async () => ({ items: [question], next: null }),
  } as unknown as Client;
  const stream = { write: () => true };
  const invocation = {
    output: createOutput({ stdout: stream, stderr: stream }, { json: false, color: false }),
    clock: { nowMs: () => 0 },
    client: async () => client,
  } as unknown as Invocation;
  return await caught(answerRun(invocation, { id: ID, value, given: [], question: undefined }));
}

test("a word for a question with fields is refused with the fields, not with a parameter that does not exist", async () => {
  const properties = { ok: { type: "boolean" }, note: { type: "string", default: "" } };
  const failure = await answered({ type: "object", properties, required: ["ok"] }, "yes");
  expect(failure).toMatchObject({
    code: "invalid-parameters",
    message: 'The answer does not match the schema of the question "Ship it?".',
    faults: [{ path: "answer" }],
    next: [
      `\`towpath answer ${ID} -p name=value\`, where`,
      "  -p ok=…  yes or no, required",
      expect.stringContaining("note"),
    ],
  });
});

test("a wrong word for a yes or no is refused with both answers", async () => {
  expect(await answered({ type: "boolean" }, "maybe")).toMatchObject({
    faults: [{ path: "answer" }],
    next: [`\`towpath answer ${ID} yes\` or \`towpath answer ${ID} no\``],
  });
});
