/** Waits for a time; false when the signal aborted first. */
export async function pause(
  sleep: (ms: number, signal?: AbortSignal) => Promise<void>,
  a: { ms: number; signal: AbortSignal },
): Promise<boolean> {
  await sleep(a.ms, a.signal).catch(() => {});
  return !a.signal.aborted;
}
