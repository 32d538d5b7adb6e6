/** What must be closed again, last opened first. */
export interface Closers {
  push(close: () => Promise<void>): void;
  /** Closes everything, each step whatever became of the others. Idempotent. */
  closeAll(): Promise<void>;
}

/** Remembers what was opened, so that a failed start and a shutdown give back the same things in the same order. */
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
