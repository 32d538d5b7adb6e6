import { framesOf, othersOf, placeOf, type Relation } from "@towpath/contract";

/** The frames of an error's stack that are shown. */
const FRAMES_SHOWN = 5;
/** The most other errors of a stack trace that are shown. */
const OTHERS_SHOWN = 8;

const RELATIONS: Readonly<Record<Exclude<Relation, "thrown">, string>> = {
  cause: "Caused by",
  handled: "While handling",
  member: "In the group:",
};

/**
 * What is printed below an error: its cause in the author's code with its frames, the deepest first, and the line of code that
 * failed; then each other error of the stack trace with its line.
 */
export function errorLines(error: {
  readonly message: string;
  readonly stack?: string | undefined;
}): string[] {
  const { message, stack = "" } = error;
  const { head, frames, deepest } = framesOf(stack);
  const from = Math.max(0, deepest);
  const cause = head === "" || head.includes(message) ? [] : [`Caused by ${head}`];
  return [
    ...cause,
    ...frames
      .slice(from, from + FRAMES_SHOWN)
      .flatMap(({ text, code }, index) => [
        `    ${text}`,
        ...(index === 0 && code !== null ? [`        ${code}`] : []),
      ]),
    ...otherLines(stack),
  ];
}

/** A line for each other error. The one that was thrown is printed above. */
function otherLines(stack: string): string[] {
  const others = othersOf(stack).flatMap(({ relation, head, frames, deepest }) => {
    if (relation === "thrown") return [];
    const place = placeOf(frames[Math.max(0, deepest)]?.text ?? "")?.place;
    return [`${RELATIONS[relation]} ${head.split("\n")[0]}${place === undefined ? "" : `  ${place}`}`];
  });
  const more = others.length - OTHERS_SHOWN;
  return more > 0 ? [...others.slice(0, OTHERS_SHOWN), `… and ${more} more errors`] : others;
}
