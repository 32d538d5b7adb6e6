/** This release, as the worker introduces itself. */
export const VERSION = "0.1.0";
