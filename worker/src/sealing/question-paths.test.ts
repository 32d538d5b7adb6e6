import { newWorkspaceKey } from "@towpath/contract";
import { expect, test } from "vitest";
import { createRedactor, redactPaths } from "../secrets/index.ts";
import { WorkerKeyring } from "./keyring.ts";
import { maskOf } from "./question-paths.ts";

const [KEY, NEW_KEY] = [newWorkspaceKey(), newWorkspaceKey()];
const PATH = "wait:input:Is Ada right?";

/** A signed spec whose schema is sealed with a key. Null: it is plain. */
function specOf(key: string | null): string {
  const place = { workspace: "w", deployment: "d", field: "schema", origin: "deployment" } as const;
  const parameters =
    key === null ? { type: "object" } : { sealed: new WorkerKeyring([key]).seal(place, '{"type":"object"}') };
  return `e30.${Buffer.from(JSON.stringify({ parameters })).toString("base64url")}.e30`;
}

const masked = (keys: [string, ...string[]], { run = "run", path = PATH, spec = specOf(KEY) } = {}) =>
  maskOf(new WorkerKeyring(keys), { assignment: { spec, runId: run }, workspaceId: "w" })?.(path);

test("a question's title is replaced in its path, and stays the same title", () => {
  expect(masked([KEY])).toMatch(/^wait:input::[\w-]{32}$/);
  expect(masked([KEY], { path: masked([KEY]) ?? "" })).toBe(masked([KEY]));
  expect(masked([KEY], { path: `wait:input:~${"0".repeat(32)}` })).toMatch(/^wait:input::/);
  expect(masked([KEY], { path: `${PATH}#2` })).toBe(`${masked([KEY])}#2`);
  expect(masked([KEY], { path: "wait:input:Is Bob right?" })).not.toBe(masked([KEY]));
  expect(masked([KEY], { run: "another" })).not.toBe(masked([KEY]));
  for (const path of ["wait:event:landed", "load:wait%3Ainput%3AIs it?", "wait:for:1000", ""])
    expect(masked([KEY], { path })).toBe(path);
});

test("the key of an event is replaced in its path, and an event's name alone stays", () => {
  const event = (path: string) => masked([KEY], { path });
  expect(event("wait:event:landed flight 7")).toMatch(/^wait:event::[\w-]{32}$/);
  expect(event("load/wait:event:landed flight 7#2")).toMatch(/^load\/wait:event::[\w-]{32}#2$/);
  expect(event(event("wait:event:landed flight 7") ?? "")).toBe(event("wait:event:landed flight 7"));
  expect(event("wait:event:landed flight 8")).not.toBe(event("wait:event:landed flight 7"));
  expect(event(`wait:event:~${"0".repeat(32)}`)).toMatch(/^wait:event::/);
  expect(event("wait:event:landed")).toBe("wait:event:landed");
});

test("a new key in front of the old one changes no path of an open run", () => {
  expect(masked([NEW_KEY, KEY])).toBe(masked([KEY]));
  expect(() => masked([NEW_KEY])).toThrow("lost the workspace key");
});

test("runs of a spec that is not sealed keep their paths", () => {
  expect(maskOf(null, { assignment: { spec: specOf(null), runId: "run" }, workspaceId: "w" })).toBeNull();
  expect(masked([KEY], { spec: specOf(null) })).toBeUndefined();
});

test("every path with which an attempt ends is masked alike", () => {
  const hide = maskOf(new WorkerKeyring([KEY]), {
    assignment: { spec: specOf(KEY), runId: "run" },
    workspaceId: "w",
  });
  const redactor = createRedactor(new Map(), hide);
  const { waits } = redactPaths(redactor, { waits: [PATH, "wait:event:landed"] });
  expect(waits).toEqual([masked([KEY]), "wait:event:landed"]);
});
