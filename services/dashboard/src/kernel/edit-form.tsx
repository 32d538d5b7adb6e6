import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type Fault, Problem } from "@towpath/contract";
import {
  createContext,
  type FormEvent,
  type ReactNode,
  useContext,
  useEffect,
  useId,
  useRef,
  useState,
} from "react";
import { Button } from "./button.tsx";
import { FormError } from "./query-result.tsx";
import { toast } from "./toast.tsx";

const Faults = createContext<readonly Fault[]>([]);

const isAt = (fault: Fault, path: string) => fault.path === path || fault.path.startsWith(`${path}.`);

/** The attributes of the input of a `FormField`. */
export interface InputAttributes {
  readonly id: string;
  readonly name: string;
  readonly "aria-invalid": boolean;
  readonly "aria-describedby": string | undefined;
}

/** A field of a form, with its name, and the form's fault at its path. */
export function FormField({
  path,
  name,
  hint,
  className = "",
  children,
}: {
  /** Of the field in the request: `timing.cron`. */
  path: string;
  name: string;
  hint?: ReactNode;
  className?: string;
  children: (attributes: InputAttributes) => ReactNode;
}) {
  const id = useId();
  const fault = useContext(Faults).find((one) => isAt(one, path));
  return (
    <div className={`flex min-w-0 flex-col gap-1 ${className}`}>
      <label htmlFor={id} className="text-12 font-medium">
        {name} {hint !== undefined && <span className="font-normal text-faint">{hint}</span>}
      </label>
      {children({
        id,
        name: path,
        "aria-invalid": fault !== undefined,
        "aria-describedby": fault && `${id}fault`,
      })}
      {fault && (
        <p id={`${id}fault`} className="text-12 text-bad [overflow-wrap:anywhere]">
          {fault.message}
          {fault.suggestion && `; ${fault.suggestion}`}
        </p>
      )}
    </div>
  );
}

/** What a form does when it is sent. */
export interface Saving {
  readonly error: Error | null;
  readonly isPending: boolean;
  readonly mutate: () => void;
}

/** Saves a form. On success, reads the lists again, says so, and closes the dialog. */
export function useSave<Made>(args: {
  readonly save: () => Promise<Made>;
  /** The first words of the keys of the lists that show it. */
  readonly lists: readonly string[];
  readonly said: (made: Made) => string;
  readonly onClose: () => void;
}): Saving {
  const cache = useQueryClient();
  // A double click arrives before the page is drawn again.
  const isUnderWay = useRef(false);
  const { error, isPending, mutate } = useMutation({
    mutationFn: args.save,
    onSettled: () => {
      isUnderWay.current = false;
    },
    onSuccess: async (made) => {
      // In their order: once the first list lacks something deleted, nothing reads its details again.
      for (const list of args.lists) await cache.invalidateQueries({ queryKey: [list] });
      toast(args.said(made));
      args.onClose();
    },
  });
  const once = () => {
    if (isUnderWay.current) return;
    isUnderWay.current = true;
    mutate();
  };
  return { error, isPending, mutate: once };
}

/** Moves the focus to the first faulty field after a rejected request, and opens the part of the form that hides it. */
function useFocusOnFault(failure: unknown) {
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    if (!failure) return;
    const field = form.current?.querySelector<HTMLElement>("[aria-invalid=true]");
    const hidden = field?.closest("details");
    if (hidden) hidden.open = true;
    field?.focus();
  }, [failure]);
  return form;
}

/** The names of the fields that were edited since the form was rejected. Their faults may no longer be true. */
function useTouched(failure: unknown) {
  const [touched, setTouched] = useState<{ since: unknown; names: readonly string[] }>({
    since: failure,
    names: [],
  });
  const names = touched.since === failure ? touched.names : [];
  const touch = ({ target }: FormEvent) => {
    const name = "name" in target ? String(target.name) : "";
    if (failure) setTouched({ since: failure, names: [...names, name] });
  };
  return [names, touch] as const;
}

function ReloadButton({ onReload }: { onReload: () => Promise<void> }) {
  const reload = useMutation({ mutationFn: onReload });
  return (
    <>
      <FormError failure={reload.error} />
      <p>
        <Button disabled={reload.isPending} onClick={() => reload.mutate()}>
          Load the current settings
        </Button>
      </p>
    </>
  );
}

/**
 * A form of a dialog. Faults that the control plane names stand beside their fields, other errors at the end. While a
 * request is under way, the form is not sent again.
 */
export function EditForm({
  does,
  saving,
  paths,
  faults: known = [],
  onReload,
  onDelete,
  onClose,
  children,
}: {
  /** The text of the button that sends it. */
  does: string;
  saving: Saving;
  /** The paths that its fields show. */
  paths: readonly string[];
  /** Faults that are known before it is sent. */
  faults?: readonly Fault[];
  /** Fills the form with the current settings. Offered if somebody else has changed them. */
  onReload?: () => Promise<void>;
  onDelete?: (() => void) | undefined;
  onClose: () => void;
  children: ReactNode;
}) {
  const { error, isPending } = saving;
  const form = useFocusOnFault(error);
  const [touched, touch] = useTouched(error);
  const faults = error instanceof Problem ? error.faults : [];
  const isBeside = faults.length > 0 && faults.every((one) => paths.some((path) => isAt(one, path)));
  const isConflict = error instanceof Problem && error.code === "edit-conflict" && faults.length === 0;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    saving.mutate();
  };
  return (
    <form ref={form} onSubmit={submit} onChange={touch} className="flex flex-col gap-3">
      <Faults value={[...faults.filter(({ path }) => !touched.includes(path)), ...known]}>{children}</Faults>
      {!isBeside && <FormError failure={error} />}
      {isConflict && onReload && <ReloadButton onReload={onReload} />}
      <div className="flex flex-wrap items-center gap-2">
        {onDelete && (
          <Button look="danger" onClick={onDelete}>
            Remove…
          </Button>
        )}
        <span className="ml-auto flex gap-2">
          <Button onClick={onClose}>Close</Button>
          <Button type="submit" look="accent" disabled={isPending}>
            {does}
          </Button>
        </span>
      </div>
    </form>
  );
}

/** Asks before something is removed, and says what that means. */
export function DeleteForm({
  does,
  saving,
  onBack,
  children,
}: {
  /** The text of the button that removes it. */
  does: string;
  saving: Saving;
  onBack: () => void;
  children: ReactNode;
}) {
  return (
    <div className="flex flex-col gap-3">
      <div className="space-y-2">{children}</div>
      <FormError failure={saving.error} />
      <div className="flex justify-end gap-2">
        <Button autoFocus onClick={onBack}>
          Back
        </Button>
        <Button look="danger" disabled={saving.isPending} onClick={saving.mutate}>
          {does}
        </Button>
      </div>
    </div>
  );
}
