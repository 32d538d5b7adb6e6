import { Dialog } from "@base-ui/react/dialog";
import type { ReactNode } from "react";

/** A modal dialog. Escape, or a click outside, closes it. */
export function Modal({
  title,
  wide = false,
  onClose,
  children,
}: {
  title: string;
  wide?: boolean;
  onClose: () => void;
  children: ReactNode;
}) {
  return (
    <Dialog.Root open onOpenChange={(isOpen) => isOpen || onClose()}>
      <Dialog.Portal>
        <Dialog.Backdrop className="fixed inset-0 z-30 bg-[rgb(0_0_0/0.35)]" />
        <Dialog.Popup
          className={`fixed top-[8vh] left-1/2 z-40 flex max-h-[84vh] -translate-x-1/2 flex-col overflow-hidden rounded-xl border border-edge bg-surface ${wide ? "w-[min(720px,calc(100vw-32px))]" : "w-[min(520px,calc(100vw-32px))]"}`}
        >
          <Dialog.Title className="border-b border-line px-4 py-3 text-14 font-semibold">
            {title}
          </Dialog.Title>
          <div className="overflow-y-auto p-4">{children}</div>
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
