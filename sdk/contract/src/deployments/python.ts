import { z } from "zod";
import { Name } from "../kernel/names.ts";
import { CodePath } from "./code-path.ts";

/** The name of a top-level function in a Python module. */
export const PythonName = z
  .string()
  .max(128)
  .regex(/^[\p{ID_Start}_]\p{ID_Continue}*$/u, "a Python name");

/** The name of a Python package, normalised as PEP 503 says. */
const PackageName = z
  .string()
  .max(128)
  .regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, "a package name in lower-case letters, digits and single -");

/** Forms of stored values whose reader runs code that the value contains. A deployment must allow each. */
export const PythonCodecs = z
  .array(z.enum(["pickle"]))
  .max(4)
  .describe(
    "Forms of stored values whose reader runs code from the value. Workers use one only if it is listed here and they have a store key. Missing: none.",
  );

/**
 * The Python environment of an entry. `lock`: requirements with hashes in the code, from which the worker builds the
 * environment. `interpreter`: a Python that the worker's configuration names.
 */
export const PythonEnvironment = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("lock"),
    python: z
      .string()
      .regex(/^3\.\d{1,2}$/, "a Python version such as 3.12")
      .describe("The version of Python, without its last number."),
    requirements: CodePath.describe("The requirements file in the code, with hashes."),
    digest: z
      .string()
      .regex(/^[0-9a-f]{64}$/, "a sha256 digest in hex")
      .describe("The sha256 digest of the requirements file."),
    indexes: z
      .array(Name)
      .max(8)
      .default([])
      .describe("Package indexes, by names from the worker's configuration."),
    build: z
      .array(PackageName)
      .max(64)
      .default([])
      .describe("Packages that the worker may build from a source archive."),
  }),
  z.object({
    kind: z.literal("interpreter"),
    name: Name.describe("An interpreter, by its name in the worker's configuration."),
  }),
]);
/** A Python environment with its defaults filled in. */
export type PythonEnvironment = z.output<typeof PythonEnvironment>;
