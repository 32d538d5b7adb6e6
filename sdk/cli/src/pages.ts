import { Failure } from "./failure.ts";

/** The last page that `--page` reads. Further ones are read with `--cursor`. */
export const PAGE_MAX = 1000;

interface Page<T> {
  readonly items: readonly T[];
  readonly next: string | null;
}

/**
 * Reads the page of a list with a number, from 1. Pages have cursors, so it reads those before it too.
 * @throws Failure if the list ends before.
 */
export async function pageNumber<P extends Page<unknown>>(
  number: number,
  first: P,
  read: (cursor: string) => Promise<P>,
): Promise<P> {
  let page = first;
  for (let at = 1; at < number; at++) {
    if (page.next === null)
      throw new Failure(`The list has only ${at} ${at === 1 ? "page" : "pages"}.`, {
        exit: "invalidInput",
        code: "no-such-page",
      });
    page = await read(page.next);
  }
  return page;
}
