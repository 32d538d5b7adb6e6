import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { dataFolder } from "./config.ts";

/** Thrown when no path is given and the data cannot be found. */
export class DataFileNotFound extends Error {
  override readonly name = "DataFileNotFound";
}

/**
 * Returns the path of a data file: the given one, else the file in the folder that the environment names, else the copy in the
 * installed package `vega-datasets`.
 *
 * `given` is a path or a `file:` URL and is not checked. Bundled flow code has no `node_modules` beside it, so it needs one of
 * the first two.
 * @throws DataFileNotFound if neither is given and the package is not installed.
 */
export function locateDataFile(file: { name: string; given?: string | undefined }): string {
  if (file.given?.startsWith("file:")) return fileURLToPath(file.given);
  if (file.given !== undefined && file.given !== "") return file.given;
  return join(dataFolder() ?? vegaDataFolder(file.name), file.name);
}

/**
 * The data folder of the installed package `vega-datasets`. The package exports only `build/index.js`; the folder is beside
 * `build`.
 * @throws DataFileNotFound if the package is not installed. The message says what to do.
 */
export function vegaDataFolder(wanted: string): string {
  try {
    return join(dirname(dirname(createRequire(import.meta.url).resolve("vega-datasets"))), "data");
  } catch (cause) {
    const advice = `the package vega-datasets is not installed here; pass the parameter "data" with the path of ${wanted}`;
    throw new DataFileNotFound(advice, { cause });
  }
}
