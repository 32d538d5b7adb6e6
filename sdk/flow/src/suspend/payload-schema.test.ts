import { LIMITS } from "@towpath/contract";
import { expect, test } from "vitest";
import { z } from "zod";
import { payloadSchemaOf } from "./payload-schema.ts";

const Tree = z.object({
  size: z.number(),
  get parts() {
    return z.array(Tree);
  },
});
const CoercedTree = z.object({
  size: z.coerce.number(),
  get parts() {
    return z.array(CoercedTree);
  },
});

test.each([
  ["an object", z.object({ late: z.number().min(1), note: z.string().default("none").describe("why") })],
  ["alternatives", z.discriminatedUnion("kind", [z.object({ kind: z.literal("a") })])],
  ["a refinement", z.string().refine((text) => text !== "no")],
  ["formats and patterns", z.tuple([z.iso.datetime(), z.uuid(), z.string().regex(/^a/)])],
  ["a schema that contains itself", Tree],
])("%s: the control plane gets the schema", async (_, schema) => {
  expect(await payloadSchemaOf(schema)).not.toBeNull();
});

test.each([
  ["z.coerce", z.object({ late: z.coerce.number() }), { late: "3" }],
  ["z.coerce in optional lists", z.object({ at: z.array(z.coerce.number()).optional() }), { at: ["3"] }],
  ["z.preprocess", z.preprocess((value) => Number(value), z.number()), "3"],
  ["catch", z.object({ late: z.number().catch(0) }), { late: "many" }],
  ["a pipe after a preprocess", z.preprocess(String, z.string()).pipe(z.string().max(3)), 3],
  ["a transform", z.union([z.number(), z.string().transform(Number)]), "3"],
  ["a trimmed text", z.record(z.string(), z.string().trim().max(1)), { a: " x " }],
  ["a pattern with a flag", z.string().regex(/^ok$/i), "OK"],
  ["a URL", z.url(), "https://example.org/ä"],
  [
    "alternatives that exclude each other",
    z.xor([z.number().refine((n) => n > 5), z.number().refine((n) => n < 5)]),
    7,
  ],
  ["z.coerce behind z.lazy", z.lazy(() => z.coerce.number()), "3"],
  ["z.coerce in a schema that contains itself", CoercedTree, { size: "1", parts: [] }],
])(
  "%s: the schema accepts more than its JSON Schema, so the control plane gets none",
  async (_, schema, payload) => {
    expect(schema.safeParse(payload).success).toBe(true);
    expect(await payloadSchemaOf(schema)).toBeNull();
  },
);

test("a schema that is too long is not sent, nor one that JSON Schema cannot express", async () => {
  const names = Array.from({ length: LIMITS.waitSchemaBytes / 10 }, (_, at) => `name ${at}`);
  expect(await payloadSchemaOf(z.enum(names))).toBeNull();
  expect(await payloadSchemaOf(z.bigint())).toBeNull();
});
