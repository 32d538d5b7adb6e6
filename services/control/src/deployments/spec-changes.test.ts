import { randomUUID } from "node:crypto";
import { Spec } from "@towpath/contract";
import { expect, test } from "vitest";
import { specOf } from "../spec.fixture.ts";
import { specChanges, withoutValues } from "./spec-changes.ts";

const workspaceId = randomUUID();
const spec = (over: Parameters<typeof specOf>[1] = {}) =>
  Spec.parse(specOf(workspaceId, { deployment: "flow", parameters: { type: "object" }, ...over }));

test("two specs are compared field by field, missing fields too; version and time of signing do not count", () => {
  const before = spec({ version: 1, retry: { limit: 1 }, tasks: { load: "a", clean: "b" } });
  const after = spec({
    version: 2,
    timeoutMs: 5_000,
    retry: { limit: 3 },
    tasks: { load: "a2", train: "c" },
    parameters: { type: "object", properties: { rows: { type: "integer" } } },
  });
  const changes = specChanges(before, after);
  const fields = Object.fromEntries(changes.map(({ field, before: old, after: now }) => [field, [old, now]]));
  expect(fields).toEqual({
    timeoutMs: [null, 5_000],
    "retry.limit": [1, 3],
    "tasks.load": ["a", "a2"],
    "tasks.clean": ["b", undefined],
    "tasks.train": [undefined, "c"],
    "parameters.properties": [undefined, { rows: { type: "integer" } }],
  });
});

test("a spec has no changes from itself, whatever the order of its keys", () => {
  const one = spec({ env: { A: "1", B: "2" } });
  expect(specChanges(one, { ...one, env: { B: "2", A: "1" } })).toEqual([]);
});

test("changes of the environment are shown without values", () => {
  const before = spec({ env: { KEPT: "same", URL: "hunter2-old" } });
  const after = spec({ env: { KEPT: "same", URL: "hunter2-new", MORE: "hunter2-more" } });
  const changes = specChanges(before, after);
  expect(changes).toEqual([
    { field: "env.URL", before: null, after: null, withheld: true },
    { field: "env.MORE", after: null, withheld: true },
  ]);
  expect(JSON.stringify([changes, withoutValues(after)])).not.toContain("hunter2");
  expect(withoutValues(after).env).toEqual({ KEPT: null, URL: null, MORE: null });
});
