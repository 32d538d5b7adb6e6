import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { layOutUnsigned } from "./sides.ts";

test("the worker that the bench compares with is made from the present sources", async () => {
  const root = await layOutUnsigned();
  try {
    expect(await readFile(join(root, "worker/src/attempts/store-access.ts"), "utf8")).toContain(
      "new RefSigner([], spec)",
    );
  } finally {
    await rm(root, { recursive: true, force: true });
  }
});
