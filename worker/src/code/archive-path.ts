import { CodeError } from "./code-error.ts";
import type { CodeLimits } from "./limits.ts";

const MAX_COMPONENT_BYTES = 255;
const MAX_QUOTED_CHARS = 80;

/** A path or a link's target in an archive, as its components; empty for the root of the tree. */
export type PathComponents = readonly string[];

/**
 * Checks the name of an archive's entry and splits it. A name must have only one meaning: relative, forward
 * slashes, no empty, `.` or `..` component, no control characters, no backslash, no drive letter, valid UTF-8. A
 * leading `./` and a directory's trailing slash are dropped, because tar writes them.
 * @throws CodeError `unsafe-archive`, or `too-large` for depth and length.
 */
export function parseEntryPath(
  name: string,
  limits: Pick<CodeLimits, "pathDepth" | "pathBytes">,
): PathComponents {
  const components = splitPath(name, limits);
  const odd = components.find((component) => component === "" || component === "." || component === "..");
  if (odd !== undefined) {
    throw unsafe(
      `The path ${quote(name)} has ${odd === ".." ? "a component that leads out of the tree" : "an empty component"}.`,
    );
  }
  return components;
}

/**
 * Checks the target of a symbolic link in directory `parent`. `..` may only come first, and not lead above the
 * root. Links are made last and never replace a directory, so a link's own directory is a real one. After the
 * leading `..` the path only descends, through directories or through links that were checked in the same way.
 * So no chain of links leaves the tree.
 * @throws CodeError `unsafe-archive`, or `too-large` for depth and length.
 */
export function checkLinkTarget(
  target: string,
  args: { parent: PathComponents; limits: Pick<CodeLimits, "pathDepth" | "pathBytes"> },
): void {
  const components = splitPath(target, args.limits);
  const climbs = components.findIndex((component) => component !== "..");
  const leading = climbs === -1 ? components.length : climbs;
  if (leading > args.parent.length) throw unsafe(`The link target ${quote(target)} leads out of the tree.`);
  const odd = components.slice(leading).find((component) => component === "" || component === "..");
  if (odd !== undefined) throw unsafe(`The link target ${quote(target)} has ".." after a folder.`);
}

/** A text from an archive, safe for a message: cut, quoted, and with invisible characters escaped. */
export function quote(text: string): string {
  const cut = text.length > MAX_QUOTED_CHARS ? `${text.slice(0, MAX_QUOTED_CHARS)}…` : text;
  return JSON.stringify(cut).replace(/\p{C}/gu, (char) => `\\u{${char.codePointAt(0)?.toString(16)}}`);
}

function splitPath(path: string, limits: Pick<CodeLimits, "pathDepth" | "pathBytes">): PathComponents {
  if (Buffer.byteLength(path) > limits.pathBytes) {
    throw new CodeError("too-large", `A path in the archive is longer than ${limits.pathBytes} bytes.`);
  }
  if (path === "") throw unsafe("An entry of the archive has no name.");
  // Invalid UTF-8 was decoded to U+FFFD, which could make two names equal.
  if (/[\p{Cc}\p{Cs}\\\uFFFD]/u.test(path))
    throw unsafe(`The path ${quote(path)} has a character that is not allowed.`);
  if (path.startsWith("/") || /^[A-Za-z]:/.test(path)) throw unsafe(`The path ${quote(path)} is absolute.`);
  const components = path.replace(/^\.\//, "").replace(/\/$/, "").split("/");
  if (components.length === 1 && (components[0] === "" || components[0] === ".")) return [];
  if (components.length > limits.pathDepth) {
    throw new CodeError(
      "too-large",
      `The path ${quote(path)} is deeper than ${limits.pathDepth} components.`,
    );
  }
  if (components.some((component) => Buffer.byteLength(component) > MAX_COMPONENT_BYTES)) {
    throw new CodeError(
      "too-large",
      `The path ${quote(path)} has a component longer than ${MAX_COMPONENT_BYTES} bytes.`,
    );
  }
  return components;
}

function unsafe(what: string): CodeError {
  return new CodeError("unsafe-archive", what);
}
