/**
 * Folders of files that this program reads and that are not code. The published package keeps them elsewhere, and
 * puts a module of its own in the place of this one.
 */
export const PLACES = {
  migrations: new URL("../../migrations", import.meta.url),
  /** The dashboard as it was built; absent until then. */
  dashboard: new URL("../../../dashboard/dist", import.meta.url),
} as const;
