import { Autocomplete } from "@base-ui/react/autocomplete";
import { Dialog } from "@base-ui/react/dialog";
import { useState } from "react";
import { Button } from "./kernel/button.tsx";
import type { Confirmation, Entry } from "./palette-actions.ts";
import { type Group, useGroups } from "./palette-entries.ts";

function EntryRow({ entry, onClick }: { entry: Entry; onClick: () => void }) {
  return (
    <Autocomplete.Item
      value={entry}
      onClick={onClick}
      className="group flex h-9 cursor-pointer scroll-my-1.5 items-center gap-2.5 rounded-md px-2.5 data-highlighted:bg-accent-soft data-highlighted:text-accent"
    >
      <entry.icon />
      <span className="min-w-0 flex-1 truncate">{entry.name}</span>
      <span className="shrink-0 text-12 text-faint group-data-highlighted:text-accent">{entry.note}</span>
    </Autocomplete.Item>
  );
}

function Keys() {
  return (
    <p aria-hidden className="flex gap-4 border-t border-line px-4 py-2 text-11 text-faint max-sm:hidden">
      <span>↑ ↓ to choose</span>
      <span>Enter to open or run</span>
      <span>Esc to close</span>
    </p>
  );
}

/** Asks before a command runs. The focus is on the button that changes nothing: a second Enter is harmless. */
function Confirm({ asks, onGo, onBack }: { asks: Confirmation; onGo: () => void; onBack: () => void }) {
  return (
    <div className="space-y-4 p-4">
      <Dialog.Title className="text-14 font-semibold">{asks.title}</Dialog.Title>
      <Dialog.Description className="text-soft">{asks.text}</Dialog.Description>
      <div className="flex justify-end gap-2">
        <Button autoFocus onClick={onBack}>
          Back
        </Button>
        <Button look="accent" onClick={onGo}>
          {asks.does}
        </Button>
      </div>
    </div>
  );
}

function Choice({ onChoose }: { onChoose: (entry: Entry) => void }) {
  const [text, setText] = useState("");
  const groups = useGroups(text.trim());
  return (
    <>
      <Dialog.Title className="sr-only">Go to</Dialog.Title>
      {/* The server filters runs, and each group has its own limit: so the list shows what it is given. */}
      <Autocomplete.Root
        open
        inline
        mode="none"
        autoHighlight="always"
        keepHighlight
        items={groups}
        itemToStringValue={({ name }: Entry) => name}
        value={text}
        onValueChange={(next, { reason }) => reason !== "item-press" && setText(next)}
      >
        <Autocomplete.Input
          autoFocus
          aria-label="Go to"
          placeholder="A screen, a deployment, a run or a command"
          className="h-12 w-full border-b border-line bg-transparent px-4 text-14 outline-none placeholder:text-faint"
        />
        <Autocomplete.List
          aria-label="Screens and commands"
          className="max-h-[56vh] overflow-y-auto p-1.5 empty:hidden"
        >
          {({ name, items }: Group) => (
            <Autocomplete.Group key={name} items={items} className="not-first:mt-1">
              <Autocomplete.GroupLabel className="px-2.5 py-1 text-11 font-medium text-faint">
                {name}
              </Autocomplete.GroupLabel>
              <Autocomplete.Collection>
                {(entry: Entry) => <EntryRow key={entry.id} entry={entry} onClick={() => onChoose(entry)} />}
              </Autocomplete.Collection>
            </Autocomplete.Group>
          )}
        </Autocomplete.List>
      </Autocomplete.Root>
      <Keys />
    </>
  );
}

/** The command palette: opens screens, deployments and runs by name, and runs commands after a confirmation. */
export default function Palette({ onClose }: { onClose: () => void }) {
  const [asking, setAsking] = useState<Entry | null>(null);
  const go = (entry: Entry) => {
    onClose();
    entry.go();
  };
  const choose = (entry: Entry) => (entry.asks === undefined ? go(entry) : setAsking(entry));
  return (
    <Dialog.Root open onOpenChange={onClose}>
      <Dialog.Portal>
        <Dialog.Backdrop className="fixed inset-0 z-30 bg-[rgb(0_0_0/0.35)]" />
        <Dialog.Popup className="fixed top-[10vh] left-1/2 z-40 w-[min(600px,calc(100vw-32px))] -translate-x-1/2 overflow-hidden rounded-xl border border-edge bg-surface shadow-[0_16px_48px_rgb(0_0_0/0.2)]">
          {asking?.asks ? (
            <Confirm asks={asking.asks} onGo={() => go(asking)} onBack={() => setAsking(null)} />
          ) : (
            <Choice onChoose={choose} />
          )}
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
