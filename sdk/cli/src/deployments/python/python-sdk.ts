import { fileURLToPath } from "node:url";

/**
 * The folder of the package `towpath` for Python that belongs to this command. A Python without the package uses it. The published
 * package has it beside the worker's program, which needs it too.
 */
export const PYTHON_SDK: string = fileURLToPath(new URL("../../../../python/src", import.meta.url));
