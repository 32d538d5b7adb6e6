import { expect, test } from "vitest";
import { storeRootFault } from "./store-root.ts";

test("an address of a folder with too few or too many slashes is refused with the right form", () => {
  for (const root of ["file:/srv/store", "file://srv/store", "file:////srv/store", "FILE:/srv/store"])
    expect(storeRootFault(root)).toMatch(
      /three slashes, file:\/\/\/srv\/store, or write the path alone, \/srv\/store/,
    );
  expect(storeRootFault("file:store")).toContain("write the path alone, store,");
  expect(storeRootFault("file://")).toContain("names no folder");
  for (const root of ["s3:/bucket/a", "s3:bucket", "s3:///bucket"])
    expect(storeRootFault(root)).toContain("write s3://bucket/prefix");
});

test("a correct address, and an address that is not a folder's, has no fault", () => {
  for (const root of ["file:///srv/store", "/srv/store", "store", "s3://bucket/a", "files/x"])
    expect(storeRootFault(root)).toBeNull();
});
