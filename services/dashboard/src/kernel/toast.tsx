import { Toast } from "@base-ui/react/toast";
import { Problem } from "@towpath/contract";

/** How long a toast stays, milliseconds. With a button it stays long enough to be read and pressed. */
const STAYS_MS = 6_000;
const UNDOABLE_MS = 15_000;

/** The result of an action. */
export interface Done {
  /** A sentence about what was done. */
  readonly text: string;
  /** The opposite action. Absent: the action cannot be undone. */
  readonly undo?: () => Promise<Done>;
}

const manager = Toast.createToastManager();

/** Reports the result of an action, where nothing else on the screen shows it. */
export function toast(text: string, { failed = false }: { failed?: boolean } = {}): void {
  manager.add({ description: text, type: failed ? "failed" : "done", priority: failed ? "high" : "low" });
}

/** Runs an action. A toast shows its result, with a button that undoes it, or why it failed. */
export function report(act: () => Promise<Done>): void {
  void act().then(showDone, (error: unknown) =>
    toast(error instanceof Problem ? error.detail : String(error), { failed: true }),
  );
}

/** Shows the result of an action, with a button that undoes it. */
export function showDone({ text, undo }: Done): void {
  if (undo === undefined) {
    toast(text);
    return;
  }
  const id = manager.add({
    description: text,
    type: "done",
    priority: "low",
    timeout: UNDOABLE_MS,
    actionProps: {
      children: "Undo",
      onClick: () => {
        manager.close(id);
        report(undo);
      },
    },
  });
}

function List() {
  return Toast.useToastManager().toasts.map((one) => (
    <Toast.Root
      key={one.id}
      toast={one}
      className="pointer-events-auto max-w-md rounded-lg border border-edge bg-surface px-3 py-2 [overflow-wrap:anywhere] shadow-[0_8px_24px_rgb(0_0_0/0.14)] data-[type=failed]:border-bad"
    >
      <Toast.Content>
        <span aria-hidden className={one.type === "failed" ? "text-bad" : "text-good"}>
          {one.type === "failed" ? "✗" : "✓"}
        </span>{" "}
        <Toast.Description render={<span />} />
        <Toast.Action className="ml-3 font-medium text-accent hover:underline" />
      </Toast.Content>
    </Toast.Root>
  ));
}

/** Shows the toasts, above everything else. */
export function Toasts() {
  return (
    <Toast.Provider toastManager={manager} timeout={STAYS_MS}>
      <Toast.Portal>
        <Toast.Viewport className="pointer-events-none fixed inset-x-4 bottom-18 z-50 flex flex-col-reverse items-center gap-2 md:right-6 md:bottom-6 md:left-auto md:items-end">
          <List />
        </Toast.Viewport>
      </Toast.Portal>
    </Toast.Provider>
  );
}
