/**
 * What is wrong with the slashes of a store's address, and how to write it: `file:/x` and `file://x` mean something else than
 * they look. Null for one that is right, and for what is neither a `file:` nor an `s3:` address.
 */
export function storeRootFault(root: string): string | null {
  if (/^s3:(?!\/\/[^/])/i.test(root)) return `"${root}" names no bucket; write s3://bucket/prefix.`;
  if (!/^file:/i.test(root) || /^file:\/\/\/[^/]/i.test(root)) return null;
  const path = root.replace(/^file:/i, "").replace(/^\/+/, "");
  const isRelative = /^file:[^/]/i.test(root);
  if (path === "") return `"${root}" names no folder; write file:///path/to/folder, or the path alone.`;
  return isRelative
    ? `"${root}" has no place to start from; write the path alone, ${path}, which starts at the configuration's folder.`
    : `"${root}" is no address of a folder; write it with three slashes, file:///${path}, or the path alone, /${path}.`;
}
