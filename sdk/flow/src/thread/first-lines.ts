/**
 * What a task's thread begins with, as plain JavaScript for `new Worker(text, { eval: true })`: a file of its own would be lost
 * when the flow is bundled. It imports the module of its first task, with which this package comes into the thread, and leaves
 * everything to that.
 */
export const FIRST_LINES = `
const { parentPort } = require("node:worker_threads");
parentPort.once("message", async (first) => {
  try {
    await import(first.module);
    globalThis[Symbol.for("towpath.thread-tasks")].serve(parentPort, first);
  } catch (error) {
    const { name = "Error", message = String(error), stack } = error ?? {};
    parentPort.postMessage({ kind: "failed", id: first.id, error: [{ name, message, stack, isError: true }] });
    parentPort.close();
  }
});
`;
