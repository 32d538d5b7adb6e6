import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Schedule } from "@towpath/contract";
import { lazy, Suspense, useState } from "react";
import { useMay } from "../identity/me.ts";
import { Button } from "../kernel/button.tsx";
import { Instant } from "../kernel/instant.tsx";
import { FormError } from "../kernel/query-result.tsx";
import { showDone } from "../kernel/toast.tsx";
import { Troubles } from "../kernel/troubles.tsx";
import { timingText, zoneOf } from "./timing-words.ts";
import { toggleSchedule } from "./toggle.ts";

const ScheduleDialog = lazy(async () => ({
  default: (await import("./schedule-dialog.tsx")).ScheduleDialog,
}));

/** A button that opens the form of a new schedule. Nothing for readers who may not create one. */
export function NewScheduleButton({
  deployment,
  look = "plain",
}: {
  /** Absent: the form asks. */
  deployment?: string;
  look?: "plain" | "accent";
}) {
  const may = useMay("deploy");
  const [isOpen, setOpen] = useState(false);
  if (!may) return null;
  return (
    <>
      <Button look={look} onClick={() => setOpen(true)}>
        New schedule
      </Button>
      {isOpen && (
        <Suspense>
          <ScheduleDialog {...(deployment && { deployment })} onClose={() => setOpen(false)} />
        </Suspense>
      )}
    </>
  );
}

/** Edits a schedule that a person has set. A schedule from the code is changed in the code. */
function EditButton({ schedule }: { schedule: Schedule }) {
  const may = useMay("deploy");
  const [isOpen, setOpen] = useState(false);
  if (schedule.source === "code")
    return (
      <span className="text-12 text-faint" title="Change this schedule in the code of its deployment.">
        from the code
      </span>
    );
  if (!may) return null;
  return (
    <>
      <Button aria-label={`Edit ${schedule.name} of ${schedule.deployment}`} onClick={() => setOpen(true)}>
        Edit
      </Button>
      {isOpen && (
        <Suspense>
          <ScheduleDialog schedule={schedule} onClose={() => setOpen(false)} />
        </Suspense>
      )}
    </>
  );
}

function PauseButton({ schedule }: { schedule: Schedule }) {
  const cache = useQueryClient();
  const may = useMay("run");
  const toggle = useMutation({
    mutationFn: () => toggleSchedule(cache, schedule),
    onSuccess: showDone,
  });
  if (!may) return null;
  return (
    <>
      <FormError failure={toggle.error} />
      <Button disabled={toggle.isPending} onClick={() => toggle.mutate()}>
        {schedule.paused ? "Resume" : "Pause"}
      </Button>
    </>
  );
}

const NAMED = "flex flex-wrap md:grid md:grid-cols-[minmax(0,1fr)_minmax(0,0.8fr)_minmax(0,1.4fr)_252px]";
const ALONE = "flex flex-wrap md:grid md:grid-cols-[minmax(0,1fr)_minmax(0,1.6fr)_252px]";

/** Schedules as rows, each with its next time and a button that pauses it. */
export function ScheduleRows({
  schedules,
  named = false,
}: {
  schedules: readonly Schedule[];
  /** Whether each row shows its deployment. */
  named?: boolean;
}) {
  return (
    <ul>
      {schedules.map((schedule) => (
        <li
          key={schedule.id}
          className={`${named ? NAMED : ALONE} items-center gap-x-4 gap-y-1 border-line px-3 py-1.5 not-last:border-b`}
        >
          {named && (
            <Link
              to="/deployments/$name"
              params={{ name: schedule.deployment }}
              data-row
              className="min-w-0 truncate font-medium hover:text-accent"
            >
              {schedule.deployment}
            </Link>
          )}
          <span className={`min-w-0 truncate ${named ? "text-soft" : "font-medium"}`}>{schedule.name}</span>
          <span className="min-w-0 text-12 text-faint [overflow-wrap:anywhere]">
            <code>{timingText(schedule.timing)}</code>
            {schedule.fault && <span className="block text-bad">{schedule.fault}</span>}
            <Troubles troubles={schedule.troubles} />
          </span>
          <span className="ml-auto flex items-center gap-3 text-12 whitespace-nowrap text-soft">
            {schedule.paused ? (
              <span className="text-warn">‖ paused</span>
            ) : schedule.nextAt ? (
              <Instant at={schedule.nextAt} zone={zoneOf(schedule)} />
            ) : (
              "no more runs"
            )}
            <EditButton schedule={schedule} />
            <PauseButton schedule={schedule} />
          </span>
        </li>
      ))}
    </ul>
  );
}
