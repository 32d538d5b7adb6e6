import { Dialog } from "@base-ui/react/dialog";
import { PAGES } from "./navigation.ts";

const GROUPS: readonly { name: string; keys: readonly (readonly [string, string])[] }[] = [
  {
    name: "Anywhere",
    keys: [
      ["⌘K or Ctrl K", "Go anywhere, run a command"],
      ["/", "Search on this screen"],
      ["Esc", "Leave a field, close a dialog"],
      ["?", "Show these keys"],
    ],
  },
  {
    name: "Lists",
    keys: [
      ["j · k", "Next and previous row"],
      ["Enter", "Open the row"],
    ],
  },
  {
    name: "Log of a run",
    keys: [
      ["f", "Follow the end"],
      ["n · N", "Next and previous match"],
      ["w", "Wrap long lines"],
    ],
  },
  { name: "Go to", keys: PAGES.map((page) => [`g ${page.key}`, page.name] as const) },
];

function Keys({ keys }: { keys: (typeof GROUPS)[number]["keys"] }) {
  return (
    <dl className="space-y-1.5">
      {keys.map(([key, does]) => (
        <div key={key} className="flex items-center justify-between gap-4">
          <dt className="order-last">
            <kbd className="rounded border border-edge bg-canvas px-1.5 py-0.5 font-sans text-12 whitespace-nowrap">
              {key}
            </kbd>
          </dt>
          <dd className="text-soft">{does}</dd>
        </div>
      ))}
    </dl>
  );
}

/** The keyboard shortcuts of the dashboard. */
export default function KeyHelp({ onClose }: { onClose: () => void }) {
  return (
    <Dialog.Root open onOpenChange={onClose}>
      <Dialog.Portal>
        <Dialog.Backdrop className="fixed inset-0 z-30 bg-[rgb(0_0_0/0.35)]" />
        <Dialog.Popup className="fixed top-[10vh] left-1/2 z-40 max-h-[80vh] w-[min(640px,calc(100vw-32px))] -translate-x-1/2 overflow-y-auto rounded-xl border border-edge bg-surface p-5 outline-none shadow-[0_16px_48px_rgb(0_0_0/0.2)]">
          <Dialog.Title className="mb-4 text-16 font-semibold">Keyboard shortcuts</Dialog.Title>
          <div className="columns-1 gap-10 sm:columns-2">
            {GROUPS.map(({ name, keys }) => (
              <section key={name} className="mb-5 break-inside-avoid">
                <h3 className="mb-2 text-11 font-medium text-faint">{name}</h3>
                <Keys keys={keys} />
              </section>
            ))}
          </div>
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
