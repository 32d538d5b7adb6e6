/** The variable with the data folder on the worker's machine. `towpath.config.ts` sets it. */
export const DATA_FOLDER_VARIABLE = "EXAMPLES_DATA";

/** The data folder from the environment, or undefined in a checkout. */
export function dataFolder(): string | undefined {
  return process.env[DATA_FOLDER_VARIABLE] || undefined;
}
