import { Dialog } from "@base-ui/react/dialog";
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { shortId } from "@towpath/contract";
import { type KeyboardEvent, useState } from "react";
import { useDeployments } from "./deployments/use-deployments.ts";
import { client } from "./kernel/client.ts";
import { Icon, type IconName } from "./kernel/icon.tsx";
import { PLACES } from "./places.ts";

/** The most entries shown. */
const ENTRIES_MAX = 9;

interface Entry {
  readonly id: string;
  readonly name: string;
  readonly kind: string;
  readonly icon: IconName;
  go(): void;
}

function useEntries(text: string): Entry[] {
  const navigate = useNavigate();
  const deployments = useDeployments();
  const runs = useQuery({
    queryKey: ["runs", "palette", text],
    queryFn: ({ signal }) =>
      client.listRuns({ query: { limit: 5, ...(text === "" ? {} : { text }) } }, { signal }),
  });
  const matches = (name: string) => name.toLowerCase().includes(text.toLowerCase());
  return [
    ...PLACES.filter((place) => matches(place.name)).map((place) => ({
      ...{ id: `place-${place.key}`, name: place.name, kind: "screen", icon: place.icon },
      go: () => void navigate({ to: place.to }),
    })),
    ...(deployments.data?.items ?? [])
      .filter((one) => text !== "" && matches(one.name))
      .map((one) => ({
        ...{ id: `deployment-${one.name}`, name: one.name, kind: "deployment", icon: "deployments" as const },
        go: () => void navigate({ to: "/deployments/$name", params: { name: one.name } }),
      })),
    ...(runs.data?.items ?? []).map((run) => ({
      ...{
        id: run.id,
        name: `${run.deployment} ${shortId(run.id)}`,
        kind: `run, ${run.state}`,
        icon: "runs" as const,
      },
      go: () => void navigate({ to: "/runs/$runId", params: { runId: run.id } }),
    })),
  ];
}

function Choices({
  entries,
  at,
  onGo,
}: {
  entries: readonly Entry[];
  at: number;
  onGo: (entry: Entry) => void;
}) {
  return (
    <div
      role="listbox"
      id="palette-choices"
      aria-label="Places"
      className="max-h-[50vh] overflow-y-auto p-1.5"
    >
      {entries.map((entry, index) => (
        <div
          key={entry.id}
          id={`choice-${index}`}
          role="option"
          aria-selected={index === at}
          tabIndex={-1}
          onClick={() => onGo(entry)}
          onKeyDown={(event) => event.key === "Enter" && onGo(entry)}
          className="flex h-9 cursor-pointer items-center gap-2.5 rounded-md px-2.5 hover:bg-hover aria-selected:bg-accent-soft aria-selected:text-accent"
        >
          <Icon name={entry.icon} />
          <span className="min-w-0 flex-1 truncate">{entry.name}</span>
          <span className="text-12 text-faint">{entry.kind}</span>
        </div>
      ))}
      {entries.length === 0 && <p className="p-3 text-soft">Nothing of this name.</p>}
    </div>
  );
}

/** Goes anywhere by name: screens, deployments, runs by the beginning of their id. */
export default function Palette({ onClose }: { onClose: () => void }) {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const entries = useEntries(text).slice(0, ENTRIES_MAX);
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
        <Dialog.Popup className="fixed top-[12vh] left-1/2 z-40 w-[min(560px,calc(100vw-32px))] -translate-x-1/2 overflow-hidden rounded-xl border border-edge bg-surface">
          <Dialog.Title className="sr-only">Go to</Dialog.Title>
          <input
            role="combobox"
            aria-expanded
            aria-controls="palette-choices"
            aria-activedescendant={`choice-${at}`}
            aria-label="Go to"
            placeholder="A screen, a deployment, a run"
            value={text}
            onChange={(event) => {
              setText(event.target.value);
              setAt(0);
            }}
            onKeyDown={onKeyDown}
            className="h-12 w-full border-b border-line bg-transparent px-4 text-14 outline-none placeholder:text-faint"
          />
          <Choices entries={entries} at={at} onGo={go} />
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
