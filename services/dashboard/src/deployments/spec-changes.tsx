import type { SpecChange } from "@towpath/contract";

function valueText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value, null, 1);
}

function Value({ change, side }: { change: SpecChange; side: "before" | "after" }) {
  if (!(side in change)) return <span className="font-sans text-faint">–</span>;
  if (change.withheld) return <span className="font-sans text-faint">not shown</span>;
  return <>{valueText(change[side])}</>;
}

const KIND = (change: SpecChange) => {
  if (!("before" in change)) return { mark: "+", word: "added", colour: "text-good" };
  if (!("after" in change)) return { mark: "−", word: "removed", colour: "text-bad" };
  return { mark: "~", word: "changed", colour: "text-warn" };
};

/** The fields in which two specs differ. */
export function SpecChanges({ changes }: { changes: readonly SpecChange[] }) {
  if (changes.length === 0) return <p className="p-3 text-faint">Only the signing time.</p>;
  return (
    <ul aria-label="Changes of the spec">
      {changes.map((change) => {
        const { mark, word, colour } = KIND(change);
        return (
          <li
            key={change.field}
            className="grid gap-x-4 border-line px-3 py-1.5 not-last:border-b md:grid-cols-[minmax(0,2fr)_minmax(0,2fr)_minmax(0,2fr)]"
          >
            <span className="flex min-w-0 gap-2">
              <span className={`font-mono font-medium ${colour}`} title={word}>
                {mark}
                <span className="sr-only"> {word}</span>
              </span>
              <code className="min-w-0 [overflow-wrap:anywhere]">{change.field}</code>
            </span>
            {(["before", "after"] as const).map((side) => (
              <code
                key={side}
                title={side}
                className={`max-h-40 min-w-0 overflow-y-auto whitespace-pre-wrap [overflow-wrap:anywhere] ${side === "before" ? "text-soft" : ""}`}
              >
                <Value change={change} side={side} />
              </code>
            ))}
          </li>
        );
      })}
    </ul>
  );
}
