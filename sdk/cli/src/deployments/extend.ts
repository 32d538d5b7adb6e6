import { z } from "zod";
import { Failure } from "../failure.ts";
import { IGNORED, projectManifest } from "./starter-files.ts";

/** Which project is being made, and the file in hand. */
interface Place {
  readonly name: string;
  readonly path: string;
  /** Where npm gets Towpath from, as a manifest says it. */
  readonly towpath: string;
}

const Fields = z.record(z.string(), z.unknown());
type Fields = z.infer<typeof Fields>;

function isFields(value: unknown): value is Fields {
  return Fields.safeParse(value).success;
}

/** What is there, and after it what is only wanted; one level deep, which is as deep as a manifest's lists go. */
function filledUp(present: Fields, wanted: Fields): Fields {
  const merged: Fields = { ...wanted, ...present };
  for (const [key, value] of Object.entries(wanted)) {
    const own = present[key];
    if (isFields(value) && isFields(own)) merged[key] = { ...value, ...own };
  }
  return merged;
}

function faulty(message: string, next: readonly string[]): Failure {
  return new Failure(message, { exit: "configuration", code: "bad-manifest", next });
}

function parsed(text: string, path: string): Fields {
  try {
    return Fields.parse(JSON.parse(text));
  } catch (cause) {
    throw new Failure(`${path} is not a JSON object.`, {
      exit: "configuration",
      code: "bad-manifest",
      next: ["mend it, or give an empty folder: `towpath init my-flows`"],
      cause,
    });
  }
}

/**
 * A package.json with all that a project needs; what it says already stays.
 * @param present Its text; null when there is none.
 * @throws Failure when it is no JSON object, or makes the project's modules CommonJS.
 */
export function extendManifest(present: string | null, place: Place): string {
  const wanted = projectManifest(place);
  const own = present === null ? {} : parsed(present, place.path);
  if (own.type !== undefined && own.type !== wanted.type)
    throw faulty(`${place.path} says "type": ${JSON.stringify(own.type)}; flows are ES modules.`, [
      "`npm pkg set type=module`, then the same command again",
    ]);
  const merged = filledUp(own, wanted);
  if (JSON.stringify(merged) === JSON.stringify(own)) return present ?? "";
  return `${JSON.stringify(merged, null, 2)}\n`;
}

/** A .gitignore with all that git should leave alone; what it says already stays. */
export function extendIgnored(present: string | null, _: Place): string {
  const lines = new Set((present ?? "").split("\n").map((line) => line.trim()));
  const missing = IGNORED.filter((pattern) => !lines.has(pattern) && !lines.has(pattern.replace(/\/$/, "")));
  if (missing.length === 0) return present ?? "";
  const before =
    present === null || present === "" || present.endsWith("\n") ? (present ?? "") : `${present}\n`;
  return `${before}${missing.join("\n")}\n`;
}
