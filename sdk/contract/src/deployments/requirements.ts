/** One package of a requirements file. */
export interface Requirement {
  /** The name, normalised as PEP 503 says. */
  readonly name: string;
  /** Which of these entries it is, from 1. */
  readonly entry: number;
  /** Null if it is `NAME==VERSION [; MARKER] --hash=sha256:…`. */
  readonly fault: "no-hash" | "not-pinned" | null;
  readonly text: string;
}

/** `name==version`, perhaps with extras and a marker. An address or an option is no such text. */
const PINNED =
  /^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[A-Za-z0-9._, -]*\])? ?== ?[A-Za-z0-9.!+_-]+ *(?:;[^#]*?)?((?: +--hash=sha256:[0-9a-f]{64})*)$/;
const NAMED = /^[A-Za-z0-9][A-Za-z0-9._-]*/;

/** The packages of a requirements file, in order. Comments are left out, and continued lines are joined. */
export function readRequirements(text: string): Requirement[] {
  const lines = text.replaceAll(/\\\r?\n/g, " ").split("\n");
  const entries = lines
    .map((line) =>
      line
        .replace(/(?:^|\s)#.*$/, "")
        .replaceAll(/\s+/g, " ")
        .trim(),
    )
    .filter((line) => line !== "");
  return entries.map((line, index) => {
    const pinned = PINNED.exec(line);
    const name = normalised((pinned?.[1] ?? NAMED.exec(line)?.[0] ?? line).slice(0, 128));
    const fault = pinned === null || /--(?!hash)/.test(line) ? "not-pinned" : pinned[2] ? null : "no-hash";
    return { name, entry: index + 1, fault, text: line };
  });
}

/** A package's name as PEP 503 compares it. */
export function normalised(name: string): string {
  return name.replaceAll(/[-_.]+/g, "-").toLowerCase();
}
