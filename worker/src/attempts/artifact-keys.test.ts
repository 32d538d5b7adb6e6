import { expect, test } from "vitest";
import { ArtifactKeys } from "./flow-host.ts";

const artifact = (key: string) =>
  ({
    ...({ type: "artifact", at: "2026-01-15T12:00:00Z", key, title: key, task: null } as const),
    body: { kind: "markdown", text: "" },
  }) as const;

test("so many keys are shown, again and again; the log hears of the first that is too many, once", () => {
  const keys = new ArtifactKeys(2);
  expect(["a", "b", "a", "b"].map((key, index) => keys.refuse(artifact(key), { seq: index + 1 }))).toEqual([
    null,
    null,
    null,
    null,
  ]);
  const first = keys.refuse(artifact("c"), { seq: 5 });
  expect(first).toMatchObject({
    detail: expect.stringContaining("at most 2 artifacts"),
    line: { level: "warn", stream: "worker", text: expect.stringContaining('"c"') },
  });
  expect(keys.refuse(artifact("d"), { seq: 6 })).toEqual({ detail: first?.detail, line: null });
  expect(keys.refuse(artifact("a"), { seq: 7 })).toBeNull();
});

test("a batch that the flow has to send again says the same again", () => {
  const keys = new ArtifactKeys(1);
  const send = () => [keys.refuse(artifact("a"), { seq: 1 }), keys.refuse(artifact("b"), { seq: 2 })];
  const first = send();
  expect(send()).toEqual(first);
  expect(first).toEqual([null, expect.objectContaining({ line: expect.anything() })]);
});
