import { z } from "zod";
import { CodePath } from "./code-path.ts";

/** The name of a package in an npm registry. */
export const NpmName = z
  .string()
  .max(214)
  .regex(
    /^(?:@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/i,
    "the name of an npm package, such as @duckdb/node-api",
  );

/** The npm packages that a worker installs for a flow, because a bundle cannot contain them. */
export const NodePackages = z.object({
  folder: CodePath.describe("The folder in the code with their `package.json` and `package-lock.json`."),
  digest: z
    .string()
    .regex(/^[0-9a-f]{64}$/, "a sha256 digest in hex")
    .describe("The sha256 digest of the `package-lock.json`."),
  scripts: z
    .array(NpmName)
    .max(64)
    .default([])
    .describe("The packages whose install scripts may run. Those of others do not."),
});
/** The npm packages of a flow with their defaults filled in. */
export type NodePackages = z.output<typeof NodePackages>;
