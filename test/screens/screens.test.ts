import { readdir, readFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { allPictures, routesIn, SCREENS } from "./screens.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const IMAGES = join(ROOT, "docs/images");
/** The total size of the pictures, bytes. Everyone who clones the repository downloads them. */
const PICTURES_BYTES_MAX = 12_000_000;

test("Every screen of the router has its pictures", async () => {
  const router = await readFile(join(ROOT, "services/dashboard/src/router.tsx"), "utf8");
  const routes = routesIn(router);
  expect(routes.length).toBeGreaterThan(5);
  expect([...new Set(SCREENS.map(({ route }) => route))].toSorted()).toEqual(routes.toSorted());
});

test("A screen without a picture is found, and so is a picture of no screen", async () => {
  const there = await readdir(join(IMAGES, "screens"));
  expect(there.map((name) => join("screens", name)).toSorted()).toEqual(allPictures().toSorted());
});

test("Pictures are pictures, and the repository stays modest", async () => {
  let bytes = 0;
  for (const path of allPictures()) {
    const { size } = await stat(join(IMAGES, path));
    expect(size, path).toBeGreaterThan(2_000);
    bytes += size;
  }
  expect(bytes).toBeLessThan(PICTURES_BYTES_MAX);
});
