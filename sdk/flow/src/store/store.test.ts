import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { NotSerialisable, StoreFault } from "../problem.ts";
import { fileStore } from "./file-store.ts";
import { memoryStore } from "./memory-store.ts";
import { type Store, safePart, type ValueLocation } from "./store.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "towpath-store-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const place: ValueLocation = { runId: "r1", attempt: 1, task: "clean:aa/inner", name: "model" };
const makers: [string, () => Store][] = [
  ["a store of files", () => fileStore(pathToFileURL(join(folder, "root")).href)],
  ["a store in memory", memoryStore],
];

for (const [name, make] of makers)
  describe(name, () => {
    test("answers what was saved, for any JSON", async () => {
      const store = make();
      await fc.assert(
        fc.asyncProperty(fc.jsonValue(), async (value) => {
          const ref = await store.save(place, value, "json");
          expect(await store.load(ref)).toEqual(JSON.parse(JSON.stringify(value)));
        }),
        { numRuns: 30 },
      );
    });

    test("keeps bytes and text as they are", async () => {
      const store = make();
      const bytes = new Uint8Array([0, 255, 128]);
      expect(await store.load(await store.save(place, bytes))).toEqual(bytes);
      expect(await store.load(await store.save(place, "naïve ✓"))).toBe("naïve ✓");
    });

    test("gives a repeated save the same ref, and never overwrites another value of that name", async () => {
      const store = make();
      const first = await store.save(place, { a: 1 });
      expect(await store.save(place, { a: 1 })).toEqual(first);
      await store.save(place, { a: 2 });
      await store.save({ ...place, attempt: 2 }, { a: 3 });
      expect(await store.load(first)).toEqual({ a: 1 });
    });

    test("says whether a value is there, without reading it", async () => {
      const store = make();
      const ref = await store.save(place, { a: 1 });
      const { sha256 } = ref;
      const encoded = {
        bytes: Uint8Array.of(1, 2),
        codec: "bytes",
        sha256,
        folder: "runs/r1/attempt-1",
        stem: "x",
      } as const;
      const [, packed] = await store.saveTogether([encoded, { ...encoded, stem: "y" }]);
      if (packed === undefined) throw new StoreFault("nothing was saved");
      expect(await Promise.all([ref, packed].map((one) => store.has(one)))).toEqual([true, true]);
      const others = [
        { ...ref, uri: `${ref.uri}x` },
        { ...ref, sizeBytes: 1 },
        { ...packed, sizeBytes: 3 },
      ];
      expect(await Promise.all(others.map((one) => store.has(one)))).toEqual([false, false, false]);
    });

    test("refuses a ref whose hash or size is not the content's", async () => {
      const store = make();
      const ref = await store.save(place, { a: 1 });
      await expect(store.load({ ...ref, sha256: "0".repeat(64) })).rejects.toBeInstanceOf(StoreFault);
      await expect(store.load({ ...ref, sizeBytes: 1 })).rejects.toBeInstanceOf(StoreFault);
      await expect(store.load({ ...ref, uri: `${ref.uri}x` })).rejects.toThrow(/no value at/);
    });

    test("names the part of a value that JSON cannot hold", async () => {
      const cases: [unknown, string][] = [
        [{ a: [1, { b: Number.NaN }] }, "model.a[1].b"],
        [{ a: 1n }, "model.a"],
        [{ a: new Map() }, "model.a"],
        [{ a: () => 1 }, "model.a"],
        [[undefined], "model[0]"],
        [new (class Point {})(), "model"],
      ];
      for (const [value, path] of cases) {
        const error = await make()
          .save(place, value, "json")
          .catch((thrown: unknown) => thrown);
        expect(error).toBeInstanceOf(NotSerialisable);
        expect(error).toMatchObject({ path });
      }
      const dated = { at: new Date(0), left: undefined };
      const store = make();
      expect(await store.load(await store.save(place, dated))).toEqual({ at: "1970-01-01T00:00:00.000Z" });
    });
  });

describe("a store of files", () => {
  test("loads nothing from outside of its root, neither directly nor through a link", async () => {
    const root = join(folder, "fenced");
    await mkdir(root, { recursive: true });
    const store = fileStore(pathToFileURL(root).href);
    const ref = await store.save(place, "secret");
    const outside = fileStore(pathToFileURL(join(folder, "other")).href);
    await outside.save(place, "something");
    await expect(outside.load(ref)).rejects.toThrow(/outside of the store/);
    const link = join(folder, "other", "link.txt");
    await symlink(fileURLToPath(ref.uri), link);
    await expect(outside.load({ ...ref, uri: pathToFileURL(link).href })).rejects.toThrow(
      /outside of the store/,
    );
    await expect(outside.load({ ...ref, uri: "https://example.org/x" })).rejects.toThrow(
      /is not a file: URL/,
    );
  });

  test("leaves no temporary file behind, and says what to do when it cannot write", async () => {
    const root = join(folder, "tidy");
    const ref = await fileStore(pathToFileURL(root).href).save(place, "x");
    const names = await readdir(join(fileURLToPath(ref.uri), ".."));
    expect(names).toEqual([expect.stringMatching(/^model\.[0-9a-f]{16}\.txt$/)]);
    const file = join(folder, "a-file");
    await writeFile(file, "");
    const blocked = fileStore(pathToFileURL(file).href).save(place, "x");
    await expect(blocked).rejects.toThrow(/permissions and free space/);
  });
});

test("any name becomes one safe part of a path, different from every other name's", () => {
  const name = fc.string({ minLength: 1, unit: "grapheme" });
  fc.assert(
    fc.property(name, name, (a, b) => {
      const [one, other] = [safePart(a), safePart(b)];
      expect(one).toMatch(/^[^/\\:*?"<>|.][^/\\:*?"<>|]*$/);
      expect(one.length).toBeLessThanOrEqual(120);
      return a === b || one !== other;
    }),
  );
});
