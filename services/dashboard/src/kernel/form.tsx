import { Name } from "@towpath/contract";
import type { ReactNode } from "react";
import { Button } from "./button.tsx";
import { CopyText } from "./copy-text.tsx";
import { Labelled } from "./labelled.tsx";
import { FormError } from "./query-result.tsx";

/** The field `name` of a form that creates something with a name. */
export function NameField({ placeholder }: { placeholder: string }) {
  return (
    <Labelled name="Name">
      <input
        name="name"
        required
        pattern="[a-z0-9][a-z0-9_\-]{0,62}"
        title={Name.description ?? "Lower-case letters, digits, - and _"}
        placeholder={placeholder}
        className="field"
      />
    </Labelled>
  );
}

/** The end of a dialog's form: the error, a button that closes the dialog, and one that submits. */
export function FormEnd({
  does,
  make,
  onClose,
}: {
  does: string;
  make: { readonly error: Error | null; readonly isPending: boolean };
  onClose: () => void;
}) {
  return (
    <>
      <FormError failure={make.error} />
      <div className="flex justify-end gap-2">
        <Button onClick={onClose}>Close</Button>
        <Button type="submit" look="accent" disabled={make.isPending}>
          {does}
        </Button>
      </div>
    </>
  );
}

/** A secret that is shown once, with an explanation. */
export function ShownOnce({
  secret,
  onClose,
  children,
}: {
  secret: string;
  onClose: () => void;
  children: ReactNode;
}) {
  return (
    <div className="space-y-3">
      {children}
      <CopyText text={secret} />
      <div className="flex justify-end">
        <Button look="accent" onClick={onClose}>
          Done
        </Button>
      </div>
    </div>
  );
}
