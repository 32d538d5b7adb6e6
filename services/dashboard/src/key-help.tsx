import { Dialog } from "@base-ui/react/dialog";
import { PLACES } from "./places.ts";

const KEYS: readonly (readonly [string, string])[] = [
  ["⌘ K / Ctrl K", "Go anywhere"],
  ["j · k", "Next and previous row"],
  ["Enter", "Open the row"],
  ["/", "Search on this screen"],
  ["f", "Follow the log"],
  ["n · N", "Next and previous find in the log"],
  ["w", "Wrap the log's lines"],
  ["?", "These keys"],
  ...PLACES.map((place) => [`g ${place.key}`, place.name] as const),
];

/** The keys that the dashboard knows. */
export default function KeyHelp({ onClose }: { onClose: () => void }) {
  return (
    <Dialog.Root open onOpenChange={onClose}>
      <Dialog.Portal>
        <Dialog.Backdrop className="fixed inset-0 z-30 bg-[rgb(0_0_0/0.35)]" />
        <Dialog.Popup className="fixed top-[14vh] left-1/2 z-40 w-[min(420px,calc(100vw-32px))] -translate-x-1/2 rounded-xl border border-edge bg-surface p-4">
          <Dialog.Title className="mb-3 text-14 font-semibold">Keys</Dialog.Title>
          <dl className="grid grid-cols-[auto_1fr] gap-x-6 gap-y-1.5">
            {KEYS.map(([key, does]) => (
              <div key={key} className="contents">
                <dt>
                  <kbd className="rounded border border-edge bg-canvas px-1.5 py-0.5 font-sans text-12">
                    {key}
                  </kbd>
                </dt>
                <dd className="text-soft">{does}</dd>
              </div>
            ))}
          </dl>
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
