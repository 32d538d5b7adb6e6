import { formatDuration } from "../kernel/duration.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { openScreen } from "../runs/screen.ts";

const SPINNER = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const FRAME_MS = 120;

/**
 * Runs one step of the start: shows a spinner, then a line with the duration.
 * @param describe Describes the result.
 */
export async function step<T>(
  invocation: Invocation,
  args: { doing: string; done: string; describe?: (result: T) => string },
  work: Promise<T>,
): Promise<T> {
  const { output, clock } = invocation;
  const { style } = output;
  const began = clock.nowMs();
  const screen = output.live ? openScreen(output) : null;
  let frame = 0;
  const draw = () => screen?.foot([`${style.cyan(SPINNER[frame++ % SPINNER.length] ?? "")} ${args.doing}`]);
  draw();
  const timer = setInterval(draw, FRAME_MS);
  try {
    const result = await work;
    screen?.close();
    const took = style.dim(formatDuration(clock.nowMs() - began));
    const more = args.describe === undefined ? "" : `  ${args.describe(result)}`;
    output.line(`${style.green("✓")} ${args.done.padEnd(14)}${more}  ${took}`);
    return result;
  } finally {
    clearInterval(timer);
    screen?.close();
  }
}
