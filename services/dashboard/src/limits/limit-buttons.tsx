import type { Limit } from "@towpath/contract";
import { lazy, Suspense, useState } from "react";
import { useMay } from "../identity/me.ts";
import { Button } from "../kernel/button.tsx";

const LimitDialog = lazy(async () => ({ default: (await import("./limit-dialog.tsx")).LimitDialog }));

/** A button that opens the form of a new limit. Nothing for readers who may not create one. */
export function NewLimitButton({
  of,
  look = "plain",
}: {
  /** What it applies to. Absent: the form asks. */
  of?: Pick<Limit, "kind" | "name">;
  look?: "plain" | "accent";
}) {
  const may = useMay("deploy");
  const [isOpen, setOpen] = useState(false);
  if (!may) return null;
  return (
    <>
      <Button
        look={look}
        {...(of && { "aria-label": `New limit of ${of.kind} ${of.name}` })}
        onClick={() => setOpen(true)}
      >
        New limit
      </Button>
      {isOpen && (
        <Suspense>
          <LimitDialog {...(of && { of })} onClose={() => setOpen(false)} />
        </Suspense>
      )}
    </>
  );
}

/** A button that opens the form of a limit. Nothing for readers who may not change it. */
export function EditLimitButton({ limit }: { limit: Limit }) {
  const may = useMay("deploy");
  const [isOpen, setOpen] = useState(false);
  if (!may) return null;
  return (
    <>
      <Button
        aria-label={`Edit limit ${limit.kind === "tag" ? "of tag " : ""}${limit.name}`}
        onClick={() => setOpen(true)}
      >
        Edit
      </Button>
      {isOpen && (
        <Suspense>
          <LimitDialog limit={limit} onClose={() => setOpen(false)} />
        </Suspense>
      )}
    </>
  );
}
