import { expect, test } from "vitest";
import { z } from "zod";
import { Spec } from "../deployments/spec.ts";
import { LogLevel } from "../logs/logs.ts";
import { ROUTES } from "../routes.ts";
import { JobChange, TendJobs } from "../runs/jobs/jobs.ts";
import { BulkRecord, ControlRecord } from "../worker/protocol.ts";
import { SEALED_MARK, sealable } from "./fields.ts";
import { markedValues, plainValues, sealedFieldsOf } from "./marked.ts";
import { READABLE_FIELDS } from "./readable.ts";

type Schema = { readonly [key: string]: unknown };
const isSchema = (value: unknown): value is Schema =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Every place of a schema where a sender can write any text or JSON, and nothing says whether it is sealed. */
function undecided(schema: unknown, path: string, found: Set<string>): void {
  if (!isSchema(schema) || SEALED_MARK in schema) return;
  for (const key of ["anyOf", "oneOf", "allOf"])
    for (const branch of Array.isArray(schema[key]) ? schema[key] : []) undecided(branch, path, found);
  undecided(schema.items, `${path}[]`, found);
  undecided(schema.additionalProperties, `${path}{}`, found);
  const properties = isSchema(schema.properties) ? Object.entries(schema.properties) : [];
  for (const [name, child] of properties) undecided(child, path === "" ? name : `${path}.${name}`, found);
  const isFixed = ["const", "enum", "format", "pattern"].some((key) => key in schema);
  const isFreeText = schema.type === "string" && !isFixed;
  const isFreeJson =
    Object.keys(schema).filter((key) => !["description", "default"].includes(key)).length === 0;
  if (isFreeText || isFreeJson) found.add(path);
}

const jsonSchema = (type: z.ZodType) => z.toJSONSchema(type, { io: "input", unrepresentable: "any" });

const SENT: [name: string, type: z.ZodType][] = [
  ...Object.entries(ROUTES).flatMap(([name, route]): [string, z.ZodType][] =>
    "body" in route && name !== "tendJobs" ? [[name, route.body]] : [],
  ),
  ["control record", ControlRecord],
  ["bulk record", BulkRecord],
  ["spec", Spec],
  ["tendJobs", TendJobs.omit({ news: true })],
  ["job change", JobChange],
];

test("every free text that is sent is sealed, or stays readable for a reason", () => {
  const found = SENT.flatMap(([name, type]) => {
    const fields = new Set<string>();
    undecided(jsonSchema(type), "", fields);
    return [...fields].map((field) => `${name}:${field}`);
  });
  const decided = READABLE_FIELDS.flatMap(({ fields }) => fields);
  expect(found.sort()).toEqual([...decided].sort());
});

test("a new text field without a decision is noticed", () => {
  const found = new Set<string>();
  undecided(
    jsonSchema(z.object({ note: z.string(), level: LogLevel, more: z.object({ any: z.unknown() }) })),
    "",
    found,
  );
  expect([...found].sort()).toEqual(["more.any", "note"]);
});

test("values are found in the branch of a union that they belong to", () => {
  const union = z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("a"), name: sealable("title", z.string()) }),
    z.object({ kind: z.literal("b"), name: z.string() }),
  ]);
  expect(markedValues(union, { kind: "a", name: "x" })).toHaveLength(1);
  expect(markedValues(union, { kind: "b", name: "x" })).toEqual([]);
});

test("empty values are no plain values, because they say nothing", () => {
  const body = { id: "x", deployment: "d", parameters: {} };
  expect(plainValues(ROUTES.createRun.body, body)).toEqual([]);
  expect(plainValues(ROUTES.createRun.body, { ...body, parameters: { a: 1 } })).toMatchObject([
    { field: "parameters", path: ["parameters"] },
  ]);
});

/** The marked fields of a JSON Schema by dotted path. */
function marksOf(schema: unknown, path: string, found: Map<string, unknown>): void {
  if (!isSchema(schema)) return;
  if (SEALED_MARK in schema) {
    found.set(path, schema[SEALED_MARK]);
    return;
  }
  for (const key of ["anyOf", "oneOf", "allOf"])
    for (const branch of Array.isArray(schema[key]) ? schema[key] : []) marksOf(branch, path, found);
  marksOf(schema.items, `${path}[]`, found);
  const properties = isSchema(schema.properties) ? Object.entries(schema.properties) : [];
  for (const [name, child] of properties) marksOf(child, path === "" ? name : `${path}.${name}`, found);
}

test("the types have the marks that their JSON Schemas have", () => {
  const answers = Object.entries(ROUTES).flatMap(([name, { answer }]): [string, z.ZodType][] =>
    typeof answer === "string" ? [] : [[name, answer]],
  );
  for (const [name, type] of [...SENT, ...answers]) {
    const found = new Map<string, unknown>();
    marksOf(jsonSchema(type), "", found);
    expect([...sealedFieldsOf(type)].sort(), name).toEqual([...found].sort());
  }
});
