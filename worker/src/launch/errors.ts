/** A process could not be started, or ended before it took its task. */
export class LaunchError extends Error {
  override readonly name = "LaunchError";
}
