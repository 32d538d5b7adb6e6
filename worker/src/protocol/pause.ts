/** Waits for a time; false when the signal aborted first. */
export async function pause(
  sleep: (ms: number, signal?: AbortSignal) => Promise<void>,
  args: { ms: number; signal: AbortSignal },
): Promise<boolean> {
  await sleep(args.ms, args.signal).catch(() => {});
  return !args.signal.aborted;
}
