import { useLayoutEffect, useRef, useState } from "react";
import { timeOfDay } from "../kernel/format.ts";
import type { LogEntry } from "../runs/use-run-stream.ts";
import { printable } from "./printable.ts";

/** Pixels from the bottom within which the reader counts as following. */
const FOLLOW_MARGIN_PX = 40;

/** A task's path without the hashes of its inputs: `load:5f3a…/0` reads `load/0`. */
function taskName(path: string): string {
  return path.replaceAll(/:[0-9a-f]{16}(?=$|[/#])/g, "");
}

function Entry({ entry }: { entry: LogEntry }) {
  if (entry.kind === "gap") {
    return (
      <div className="gap">
        {entry.count} {entry.count === 1 ? "line" : "lines"} lost: {entry.reason}
      </div>
    );
  }
  return (
    <div className={`line level-${entry.level}`}>
      <time dateTime={entry.at}>{timeOfDay(entry.at)}</time>
      <span className="level">{entry.stream === "log" ? entry.level : entry.stream}</span>
      <span className="text">
        {entry.task && <span className="quiet">{taskName(entry.task)} </span>}
        {printable(entry.text)}
      </span>
    </div>
  );
}

/** A run's log. Follows its end until the reader scrolls up. */
export function LogView({
  entries,
  dropped,
  live,
}: {
  entries: readonly LogEntry[];
  dropped: number;
  live: boolean;
}) {
  const box = useRef<HTMLDivElement>(null);
  const [following, setFollowing] = useState(true);
  // biome-ignore lint/correctness/useExhaustiveDependencies: each new entry moves the end.
  useLayoutEffect(() => {
    if (following && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [entries, following]);
  const onScroll = () => {
    const element = box.current;
    if (element)
      setFollowing(element.scrollHeight - element.scrollTop - element.clientHeight < FOLLOW_MARGIN_PX);
  };
  return (
    <section>
      <h2>
        Log {live && <span className="quiet">{following ? "following" : "paused"}</span>}
        {!following && (
          <button type="button" onClick={() => setFollowing(true)}>
            Jump to the end
          </button>
        )}
      </h2>
      <div className="log" role="log" aria-live="off" ref={box} onScroll={onScroll}>
        {dropped > 0 && <div className="gap">{dropped} earlier lines are not kept on this page</div>}
        {entries.length === 0 && (
          <div className="quiet">{live ? "Nothing yet." : "This run wrote nothing."}</div>
        )}
        {entries.map((entry) => (
          <Entry key={`${entry.attempt}:${entry.line}`} entry={entry} />
        ))}
      </div>
    </section>
  );
}
