import { existsSync } from "node:fs";
import { join } from "node:path";
import { givenPython } from "../../config.ts";

/** A Python that can import a project's flows. */
export interface ProjectPython {
  /** The program. Absolute, unless it is found by `PATH`. */
  readonly path: string;
  /** Where it comes from, as a part of a sentence. */
  readonly from: string;
}

/** Folders of a project that may hold its virtual environment, the usual one first. */
const ENVIRONMENTS = [".venv", "venv"] as const;
/** The interpreter in a virtual environment, on Unix and on Windows. */
const INTERPRETERS = ["bin/python", "Scripts/python.exe"] as const;

/**
 * The Python that imports a project's flows: its virtual environment's, else the one that `TOWPATH_PYTHON` names, else `python3` of the
 * `PATH`.
 */
export function pythonFor(root: string, given: string | undefined = givenPython()): ProjectPython {
  for (const folder of ENVIRONMENTS)
    for (const program of INTERPRETERS) {
      const path = join(root, folder, program);
      if (existsSync(path)) return { path, from: `the project's ${folder}` };
    }
  return given === undefined ? { path: "python3", from: "PATH" } : { path: given, from: "TOWPATH_PYTHON" };
}
