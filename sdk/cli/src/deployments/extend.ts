import { z } from "zod";
import { Failure } from "../failure.ts";
import { IGNORED, IGNORED_DATA, projectManifest } from "./starter-files.ts";

/** The project, and the file to extend. */
interface Place {
  readonly name: string;
  readonly path: string;
  /** Towpath's dependency specifier for a manifest. */
  readonly towpath: string;
}

const Fields = z.record(z.string(), z.unknown());
type Fields = z.infer<typeof Fields>;

function isFields(value: unknown): value is Fields {
  return Fields.safeParse(value).success;
}

/** Adds missing entries, one level deep, like the lists of a manifest. */
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
      next: ["correct it, or use an empty folder: `towpath init my-flows`"],
      cause,
    });
  }
}

/**
 * Adds to a package.json what a project needs. Existing entries stay.
 * @param present Its text. Null if there is none.
 * @throws Failure if it is not a JSON object, or makes the project's modules CommonJS.
 */
export function extendManifest(present: string | null, place: Place): string {
  const wanted = projectManifest(place);
  const own = present === null ? {} : parsed(present, place.path);
  if (own.type !== undefined && own.type !== wanted.type)
    throw faulty(`${place.path} says "type": ${JSON.stringify(own.type)}, but flows are ES modules.`, [
      "run `npm pkg set type=module`, then this command again",
    ]);
  const merged = filledUp(own, wanted);
  if (JSON.stringify(merged) === JSON.stringify(own)) return present ?? "";
  return `${JSON.stringify(merged, null, 2)}\n`;
}

/** Adds to a .gitignore what git should ignore. Existing lines stay. */
export function extendIgnored(present: string | null, _: Place): string {
  return withIgnored(present, IGNORED);
}

/** `extendIgnored` with other patterns. */
export function withIgnored(present: string | null, ignored: readonly string[]): string {
  if (present === null) return `${[...ignored, ...IGNORED_DATA].join("\n")}\n`;
  const lines = new Set(present.split("\n").map((line) => line.trim()));
  const missing = ignored.filter((pattern) => !lines.has(pattern) && !lines.has(pattern.replace(/\/$/, "")));
  if (missing.length === 0) return present;
  const before = present === "" || present.endsWith("\n") ? present : `${present}\n`;
  return `${before}${missing.join("\n")}\n`;
}
