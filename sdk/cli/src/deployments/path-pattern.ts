/**
 * Whether a path relative to the project matches a pattern: `*` and `?` stay within a folder, `**` crosses folders, and
 * a pattern that names a folder means all that is in it.
 */
export function matchesPattern(path: string, pattern: string): boolean {
  const trimmed = pattern.replace(/^\.\//, "").replace(/\/+$/, "");
  const source = trimmed
    .split("/")
    .map((segment, index, all) => {
      const last = index === all.length - 1;
      if (segment === "**") return last ? ".*" : "(?:[^/]+/)*";
      const one = segment
        .replaceAll(/[.+^${}()|[\]\\]/g, "\\$&")
        .replaceAll("*", "[^/]*")
        .replaceAll("?", "[^/]");
      return last ? one : `${one}/`;
    })
    .join("");
  return new RegExp(`^${source}(?:/.*)?$`).test(path);
}
