/** Resources to close, last opened first. */
export interface Closers {
  push(close: () => Promise<void>): void;
  /** Closes everything, even if a step fails. Idempotent. */
  closeAll(): Promise<void>;
}

/** Collects opened resources, so that a failed start and a shutdown close them in the same order. */
export function openClosers(onError: (error: unknown) => void): Closers {
  const open: (() => Promise<void>)[] = [];
  let closing: Promise<void> | undefined;
  const run = async () => {
    for (let close = open.pop(); close !== undefined; close = open.pop()) await close().catch(onError);
  };
  return {
    push: (close) => void open.push(close),
    closeAll: () => {
      closing ??= run();
      return closing;
    },
  };
}
