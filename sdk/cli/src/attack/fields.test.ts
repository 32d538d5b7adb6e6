import { ProblemBody, ROUTES } from "@towpath/contract";
import { expect, test } from "vitest";
import { z } from "zod";
import { ATTACKS } from "./attacks/index.ts";
import { VERBS } from "./liar.ts";

/** Fields without an attack of their own, by their beginnings, and why. */
const EXCUSED: Readonly<Record<string, string>> = {
  closeSession: "the worker has stopped when this answer comes, and reads nothing of it",
  "report.next": "the schema and the code of an answer to claim",
  "call.answer": "any JSON value; the flow checks it against its own schema",
  "listCheckpoints.waits.answer": "any JSON value; the flow checks it against its own schema",
  "call.incarnation": "one function reads it in every answer; it is attacked in others",
  "call.position": "one function reads it in every answer; it is attacked in others",
  "listCheckpoints.incarnation": "one function reads it in every answer; it is attacked in others",
  "listCheckpoints.position": "one function reads it in every answer; it is attacked in others",
  "pollReads.incarnation": "one function reads it in every answer; it is attacked in others",
  "pollReads.position": "one function reads it in every answer; it is attacked in others",
  "answerRead.incarnation": "one function reads it in every answer; it is attacked in others",
  "answerRead.position": "one function reads it in every answer; it is attacked in others",
  "openSession.position": "one function reads it in every answer; it is attacked in others",
};

type Schema = z.core.JSONSchema.JSONSchema;

/** The fields of a schema: `claim.assignments.spec`. Those of alternatives and of rows are joined. */
function fieldsOf(schema: Schema | boolean | undefined, path: string): string[] {
  if (typeof schema !== "object") return [];
  const { anyOf = [], oneOf = [], allOf = [], properties = {}, items } = schema;
  return [
    ...[...anyOf, ...oneOf, ...allOf, ...[items ?? []].flat()].flatMap((one) => fieldsOf(one, path)),
    ...Object.entries(properties).flatMap(([name, one]) => [
      `${path}.${name}`,
      ...fieldsOf(one, `${path}.${name}`),
    ]),
  ];
}

const json = (schema: z.ZodType) => z.toJSONSchema(schema, { unrepresentable: "any" });
/** Every field that a control plane sends to a worker. */
const wire = new Set([
  ...VERBS.flatMap((verb) => fieldsOf(json(ROUTES[verb].answer), verb)),
  ...fieldsOf(json(ProblemBody), "problem"),
]);
/** What attacks abuse. Attacks on whole answers name a verb, and count for no field. */
const abused = ATTACKS.flatMap(({ fields }) => fields.map((one) => one.replaceAll("[]", ""))).filter(
  (one) => !VERBS.some((verb) => one === `${verb}.*`),
);

const isUnder = (field: string, prefix: string) => field === prefix || field.startsWith(`${prefix}.`);
const isAbused = (field: string) =>
  abused.some((one) => (one.endsWith(".*") ? isUnder(field, one.slice(0, -2)) : one === field));
const isExcused = (field: string) => Object.keys(EXCUSED).some((prefix) => isUnder(field, prefix));

test("there are fields of every verb", () => {
  for (const verb of VERBS)
    expect([...wire].filter((one) => one.startsWith(`${verb}.`)).length).toBeGreaterThan(1);
  expect(wire).toContain("claim.assignments.trigger.task.input.uri");
});

test("each field that a control plane sends is abused by an attack, or a reason says why not", () => {
  expect([...wire].filter((field) => !isAbused(field) && !isExcused(field))).toEqual([]);
});

test("each field that an attack names is on the wire, and each reason is needed", () => {
  const named = abused.map((one) => (one.endsWith(".*") ? one.slice(0, -2) : one));
  expect(named.filter((one) => one !== "problem" && !wire.has(one))).toEqual([]);
  const idle = Object.keys(EXCUSED).filter((prefix) => ![...wire].some((one) => isUnder(one, prefix)));
  expect(idle).toEqual([]);
});
