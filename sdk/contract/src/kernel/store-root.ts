/**
 * Finds a fault in the slashes of a store's address, and says how to write it: `file:/x` and `file://x` do not mean what they
 * seem to. Null if there is no fault, or if it is neither a `file:` nor an `s3:` address.
 */
export function storeRootFault(root: string): string | null {
  if (/^s3:(?!\/\/[^/])/i.test(root)) return `"${root}" names no bucket; write s3://bucket/prefix.`;
  if (!/^file:/i.test(root) || /^file:\/\/\/[^/]/i.test(root)) return null;
  const path = root.replace(/^file:/i, "").replace(/^\/+/, "");
  const isRelative = /^file:[^/]/i.test(root);
  if (path === "") return `"${root}" names no folder; write file:///path/to/folder, or the path alone.`;
  return isRelative
    ? `"${root}" is a relative file: URL, which does not exist; write the path alone, ${path}, relative to the configuration's folder.`
    : `"${root}" is not the address of a folder; write it with three slashes, file:///${path}, or write the path alone, /${path}.`;
}
