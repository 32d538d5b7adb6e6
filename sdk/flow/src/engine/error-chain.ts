/** How many causes are followed, and how many parts of an AggregateError are told. */
export const CAUSES_MAX = 5;

function causeOf(error: unknown): unknown {
  try {
    return error instanceof Error ? error.cause : undefined;
  } catch {
    return undefined;
  }
}

/** What was thrown, then its cause, its cause's cause and so on. */
export function errorChain(thrown: unknown): readonly unknown[] {
  const chain: unknown[] = [thrown];
  for (
    let cause = causeOf(thrown);
    cause !== undefined && chain.length <= CAUSES_MAX;
    cause = causeOf(cause)
  ) {
    if (chain.includes(cause)) break;
    chain.push(cause);
  }
  return chain;
}
