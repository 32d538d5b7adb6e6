import { stat } from "node:fs/promises";

/** The state of files, by which a change is noticed. */
async function stampOf(files: readonly string[]): Promise<string> {
  const stamps = await Promise.all(
    files.map((file) =>
      stat(file).then(
        ({ ino, mtimeMs, ctimeMs, size }) => [ino, mtimeMs, ctimeMs, size].join(":"),
        () => "missing",
      ),
    ),
  );
  return stamps.join(" ");
}

/** What files contain, read again when they change. */
export interface Watched<T> {
  current(): Promise<T>;
}

/**
 * Reads files, and reads them again before a use if they have changed. If that fails, the last content stays in force, and
 * each state of the files is complained about once.
 * @throws what the first `load` throws.
 */
export async function watchFiles<T>(args: {
  readonly files: readonly string[];
  readonly load: () => Promise<T>;
  readonly failed: (error: unknown) => void;
}): Promise<Watched<T>> {
  const { files, load, failed } = args;
  let stamp = await stampOf(files);
  let value = await load();
  let checking: Promise<T> | undefined;
  const check = async (): Promise<T> => {
    const now = await stampOf(files);
    if (now === stamp) return value;
    stamp = now;
    try {
      value = await load();
    } catch (error) {
      failed(error);
    }
    return value;
  };
  return {
    current() {
      if (files.length === 0) return Promise.resolve(value);
      // Verifications at the same time share one look.
      checking ??= check().finally(() => {
        checking = undefined;
      });
      return checking;
    },
  };
}
