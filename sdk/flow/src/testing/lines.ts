import { readFileSync } from "node:fs";

/** The lines of a file of JSON, none if there is no file. A line that was cut off is none. */
export function readLines<Line>(path: string): Line[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return [];
  }
  return text
    .slice(0, text.lastIndexOf("\n") + 1)
    .split("\n")
    .filter((line) => line !== "")
    .map((line): Line => JSON.parse(line));
}
