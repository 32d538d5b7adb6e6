import { Dialog } from "@base-ui/react/dialog";
import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import { Icon } from "./kernel/icon.tsx";
import { type Group, useGroups } from "./palette-entries.ts";
import type { Entry } from "./palette-entry.ts";

function Choice({
  entry,
  at,
  chosen,
  onGo,
}: {
  entry: Entry;
  at: number;
  chosen: boolean;
  onGo: () => void;
}) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (chosen) box.current?.scrollIntoView({ block: "nearest" });
  }, [chosen]);
  return (
    <div
      ref={box}
      id={`choice-${at}`}
      role="option"
      aria-selected={chosen}
      tabIndex={-1}
      onClick={onGo}
      onKeyDown={(event) => event.key === "Enter" && onGo()}
      className="group flex h-9 cursor-pointer items-center gap-2.5 rounded-md px-2.5 hover:bg-hover aria-selected:bg-accent-soft aria-selected:text-accent"
    >
      <Icon name={entry.icon} />
      <span className="min-w-0 flex-1 truncate">{entry.name}</span>
      <span className="shrink-0 text-12 text-faint group-aria-selected:text-accent">{entry.note}</span>
    </div>
  );
}

function Choices({
  groups,
  at,
  onGo,
}: {
  groups: readonly Group[];
  at: number;
  onGo: (entry: Entry) => void;
}) {
  const all = groups.flatMap(({ entries }) => entries);
  return (
    <div
      role="listbox"
      id="palette-choices"
      aria-label="Places and actions"
      className="max-h-[56vh] overflow-y-auto p-1.5"
    >
      {groups.map(({ name, entries }) => (
        // biome-ignore lint/a11y/useSemanticElements: options of a list are grouped, not fields.
        <div key={name} role="group" aria-label={name} className="not-first:mt-1">
          <div aria-hidden className="px-2.5 py-1 text-11 font-medium text-faint">
            {name}
          </div>
          {entries.map((entry) => (
            <Choice
              key={entry.id}
              entry={entry}
              at={all.indexOf(entry)}
              chosen={all.indexOf(entry) === at}
              onGo={() => onGo(entry)}
            />
          ))}
        </div>
      ))}
      {all.length === 0 && <p className="p-3 text-soft">Nothing of this name.</p>}
    </div>
  );
}

function Keys() {
  return (
    <p aria-hidden className="flex gap-4 border-t border-line px-4 py-2 text-11 text-faint max-sm:hidden">
      <span>↑ ↓ to choose</span>
      <span>Enter to open or do</span>
      <span>Esc to leave</span>
    </p>
  );
}

/** Goes anywhere by name and does what can be done from anywhere: screens, deployments, runs, schedules, what was open lately. */
export default function Palette({ onClose }: { onClose: () => void }) {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const groups = useGroups(text.trim());
  const entries = groups.flatMap((group) => group.entries);
  const go = (entry: Entry) => {
    onClose();
    entry.go();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (by !== 0) setAt((at + by + entries.length) % Math.max(1, entries.length));
    const chosen = entries[at];
    if (event.key === "Enter" && chosen) go(chosen);
    if (by !== 0 || event.key === "Enter") event.preventDefault();
  };
  return (
    <Dialog.Root open onOpenChange={onClose}>
      <Dialog.Portal>
        <Dialog.Backdrop className="fixed inset-0 z-30 bg-[rgb(0_0_0/0.35)]" />
        <Dialog.Popup className="fixed top-[10vh] left-1/2 z-40 w-[min(600px,calc(100vw-32px))] -translate-x-1/2 overflow-hidden rounded-xl border border-edge bg-surface shadow-[0_16px_48px_rgb(0_0_0/0.2)]">
          <Dialog.Title className="sr-only">Go to</Dialog.Title>
          <input
            role="combobox"
            aria-expanded
            aria-controls="palette-choices"
            aria-activedescendant={`choice-${at}`}
            aria-label="Go to"
            placeholder="A screen, a deployment, a run, or what to do"
            value={text}
            onChange={(event) => {
              setText(event.target.value);
              setAt(0);
            }}
            onKeyDown={onKeyDown}
            className="h-12 w-full border-b border-line bg-transparent px-4 text-14 outline-none placeholder:text-faint"
          />
          <Choices groups={groups} at={at} onGo={go} />
          <Keys />
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
