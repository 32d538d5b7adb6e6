/*
 * A process that wants one tree of a shared cache. Arguments: cache directory, OCI layout, digest. It prints the directory, then
 * uses the tree until its stdin ends.
 */
import { openCodeCache } from "./code-cache.ts";
import { fetchCode } from "./fetch-code.ts";

const [dir = "", path = "", digest = ""] = process.argv.slice(2);
const cache = await openCodeCache({ dir });
const code = await fetchCode(
  cache,
  { source: { kind: "oci-layout", path }, digest },
  new AbortController().signal,
);
process.stdout.write(`${code.dir}\n`);
for await (const _ of process.stdin);
await code.release();
