import { Unhandled } from "../problem.ts";
import { onProcess } from "./process-events.ts";

/**
 * Listens for what nothing in this process handled. Without it Node would end the process with no word to anyone who
 * follows the run.
 * @returns What stops listening.
 */
export function watchUnhandled(onUnhandled: (error: Unhandled) => void): () => void {
  const stops = [
    onProcess("unhandledRejection", (reason) => onUnhandled(new Unhandled("rejection", reason))),
    onProcess("uncaughtException", (error) => onUnhandled(new Unhandled("exception", error))),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}
