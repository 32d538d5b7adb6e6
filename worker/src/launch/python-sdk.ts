import { fileURLToPath } from "node:url";

/**
 * The folder of the package `towpath` for Python that the worker brings. An environment without the package uses it. The published
 * package has it beside the worker's program.
 */
export const PYTHON_SDK: string = fileURLToPath(new URL("../../../sdk/python/src", import.meta.url));
