import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Thrown when an example cannot find its data and was not told where it is. */
export class DataFileNotFound extends Error {
  override readonly name = "DataFileNotFound";
}

/**
 * Answers the path of a data file: the one given, else the copy inside the installed `vega-datasets` package.
 *
 * `given` is a path or a `file:` URL and is believed as it is. Bundled flow code has no `node_modules` beside it, so
 * there `given` must be set; in a checkout it may be left out.
 * @throws DataFileNotFound if nothing was given and the package cannot be resolved from here.
 */
export function locateDataFile(file: { name: string; given?: string | undefined }): string {
  if (file.given?.startsWith("file:")) return fileURLToPath(file.given);
  if (file.given !== undefined && file.given !== "") return file.given;
  return join(vegaDatasetsFolder(file.name), "data", file.name);
}

/** The package exports only its entry, `build/index.js`; the data folder is that file's neighbour. */
function vegaDatasetsFolder(wanted: string): string {
  try {
    return dirname(dirname(createRequire(import.meta.url).resolve("vega-datasets")));
  } catch (cause) {
    const advice = `the package vega-datasets is not installed here; pass the parameter "data" with the path of ${wanted}`;
    throw new DataFileNotFound(advice, { cause });
  }
}
