import type { Context } from "@towpath/contract";
import { StoreFault } from "../problem.ts";
import { fileObjects } from "./file-store.ts";
import type { Objects } from "./objects.ts";

/**
 * Opens the objects of the store that a worker names: a folder, or a place in a bucket.
 * @throws StoreFault for a root of another kind.
 */
export async function openObjects({ root, s3 }: Context["store"]): Promise<Objects> {
  if (root.startsWith("file:")) return fileObjects(root);
  if (root.startsWith("s3:") && s3 !== undefined) {
    // Signing and the client of the web take a while to load: only who has a bucket pays for it.
    const { s3Objects } = await import("./s3-store.ts");
    return s3Objects(root, s3);
  }
  throw new StoreFault(`${root} is no store that this release knows.`, {
    next: "Give the worker a folder, or s3://bucket/prefix, as its store.root.",
  });
}
