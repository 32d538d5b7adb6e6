/** What the worker keeps on its disk cannot be used; the message says what to do. */
export class StateError extends Error {
  override readonly name = "StateError";
}
