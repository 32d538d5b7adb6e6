import { expect, test } from "vitest";
import { ReadTurns, readingFor } from "./read-turns.ts";

/** Reads that begin in their turn and end when the test ends them. */
function readers(connections: number) {
  const turns = new ReadTurns(connections);
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const read = (workspace: string, name: string) =>
    readingFor(workspace, () =>
      turns.during(async () => {
        begun.push(name);
        await new Promise<void>((resolve) => ends.set(name, resolve));
      }),
    );
  const settled = () => new Promise<void>((resolve) => setImmediate(resolve));
  const end = async (name: string) => {
    ends.get(name)?.();
    await settled();
  };
  return { begun, read, end, settled };
}

test("many slow reads of a workspace do not block another workspace", async () => {
  const { begun, read, end, settled } = readers(4);
  for (let n = 1; n <= 8; n++) void read("busy", `busy ${n}`);
  for (let n = 1; n <= 3; n++) void read("other", `other ${n}`);
  await settled();
  expect(begun).toEqual(["busy 1", "busy 2", "busy 3", "busy 4"]);
  await end("busy 1");
  await end("busy 2");
  // Two reads each: from here on the workspaces take turns.
  expect(begun.slice(4)).toEqual(["other 1", "other 2"]);
  await end("other 1");
  expect(begun.at(-1)).toBe("other 3");
  await end("other 2");
  expect(begun.at(-1)).toBe("busy 5");
});

test("a failed read frees its connection", async () => {
  const turns = new ReadTurns(1);
  await expect(turns.during(() => Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(await turns.during(async () => "next")).toBe("next");
});
