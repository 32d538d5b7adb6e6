import { Bar } from "../kernel/bar.tsx";
import { duration } from "../kernel/format.ts";

/** What the usual time of a deployment's runs means. */
export const USUAL =
  "The median working time of the latest completed runs: the sum of their attempts, without the time between them.";

/**
 * A duration beside the usual one, as a bar and as text. The bar is full and has another colour if the duration exceeds
 * the usual one.
 */
export function UsualTime({ ms, usualMs }: { ms: number; usualMs: number | null }) {
  return (
    <span className="flex shrink-0 items-center justify-end gap-2 text-12 whitespace-nowrap text-soft tabular-nums">
      {usualMs !== null && (
        <Bar
          className="h-1.5 w-16 max-sm:hidden"
          look={ms > usualMs ? "warn" : "accent"}
          value={ms}
          max={usualMs}
        />
      )}
      <span className="text-right sm:min-w-47">
        {duration(ms)}
        {usualMs !== null && (
          <span className="text-faint" title={USUAL}>
            , usually {duration(usualMs)}
          </span>
        )}
      </span>
    </span>
  );
}
