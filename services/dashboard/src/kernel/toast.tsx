import { Toast } from "@base-ui/react/toast";

/** How long a toast stays, milliseconds. */
const STAYS_MS = 6_000;

const manager = Toast.createToastManager();

/** Reports the result of an action, where nothing else on the screen shows it. */
export function toast(text: string, { failed = false }: { failed?: boolean } = {}): void {
  manager.add({ description: text, type: failed ? "failed" : "done", priority: failed ? "high" : "low" });
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
