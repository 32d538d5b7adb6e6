import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { dataFolder } from "./config.ts";

/** Thrown when an example cannot find its data and was not told where it is. */
export class DataFileNotFound extends Error {
  override readonly name = "DataFileNotFound";
}

/**
 * Answers the path of a data file: the one given, else that of its name in the folder which the environment names, else the
 * copy inside the installed `vega-datasets` package.
 *
 * `given` is a path or a `file:` URL and is believed as it is. Bundled flow code has no `node_modules` beside it, so
 * there one of the first two is needed.
 * @throws DataFileNotFound if nothing was given and the package cannot be resolved from here.
 */
export function locateDataFile(file: { name: string; given?: string | undefined }): string {
  if (file.given?.startsWith("file:")) return fileURLToPath(file.given);
  if (file.given !== undefined && file.given !== "") return file.given;
  return join(dataFolder() ?? vegaDataFolder(file.name), file.name);
}

/**
 * The data folder of the installed `vega-datasets` package: it exports only its entry, `build/index.js`, whose neighbour that
 * folder is.
 * @throws DataFileNotFound saying what to do, if the package is not installed.
 */
export function vegaDataFolder(wanted: string): string {
  try {
    return join(dirname(dirname(createRequire(import.meta.url).resolve("vega-datasets"))), "data");
  } catch (cause) {
    const advice = `the package vega-datasets is not installed here; pass the parameter "data" with the path of ${wanted}`;
    throw new DataFileNotFound(advice, { cause });
  }
}
