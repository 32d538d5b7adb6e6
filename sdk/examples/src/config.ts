/** The variable that says where the data lies on the side where the flows run; `towpath.config.ts` sets it. */
export const DATA_FOLDER_VARIABLE = "EXAMPLES_DATA";

/** The folder of the data files that the environment names, or undefined in a checkout. */
export function dataFolder(): string | undefined {
  return process.env[DATA_FOLDER_VARIABLE] || undefined;
}
