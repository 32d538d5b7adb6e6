import { Unhandled } from "../problem.ts";

/**
 * Listens for what nothing in this process handled. Without it Node would end the process with no word to anyone who
 * follows the run.
 * @returns What stops listening.
 */
export function watchUnhandled(onUnhandled: (error: Unhandled) => void): () => void {
  const onRejection = (reason: unknown) => onUnhandled(new Unhandled("rejection", reason));
  const onException = (error: unknown) => onUnhandled(new Unhandled("exception", error));
  process.on("unhandledRejection", onRejection);
  process.on("uncaughtException", onException);
  return () => {
    process.off("unhandledRejection", onRejection);
    process.off("uncaughtException", onException);
  };
}
