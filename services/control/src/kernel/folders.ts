/**
 * Folders with files, other than code, that this program reads. They are elsewhere in the published package, which
 * replaces this module.
 */
export const FOLDERS = {
  migrations: new URL("../../migrations", import.meta.url),
  /** The built dashboard. Absent until it is built. */
  dashboard: new URL("../../../dashboard/dist", import.meta.url),
} as const;
