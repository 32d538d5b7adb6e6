import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Schedule } from "@towpath/contract";
import { useMay } from "../identity/me.ts";
import { Button } from "../kernel/button.tsx";
import { client } from "../kernel/client.ts";
import { Instant } from "../kernel/instant.tsx";
import { Refusal } from "../kernel/standing.tsx";
import { timingText, zoneOf } from "./timing-words.ts";

function PauseButton({ schedule }: { schedule: Schedule }) {
  const cache = useQueryClient();
  const may = useMay("run");
  const params = { name: schedule.deployment, schedule: schedule.name };
  const toggle = useMutation({
    mutationFn: () =>
      schedule.paused ? client.resumeSchedule({ params }) : client.pauseSchedule({ params }),
    onSuccess: () => cache.invalidateQueries({ queryKey: ["schedules"] }),
  });
  return (
    <>
      <Refusal failure={toggle.error} />
      <Button disabled={!may || toggle.isPending} onClick={() => toggle.mutate()}>
        {schedule.paused ? "Resume" : "Pause"}
      </Button>
    </>
  );
}

/** Schedules as rows, each with its next instant and a way to pause it. */
export function ScheduleRows({
  schedules,
  named = false,
}: {
  schedules: readonly Schedule[];
  /** Whether each says of which deployment it is. */
  named?: boolean;
}) {
  return (
    <ul>
      {schedules.map((schedule) => (
        <li
          key={schedule.id}
          className="flex flex-wrap items-center gap-x-3 gap-y-1 border-line px-3 py-2 not-last:border-b"
        >
          {named && (
            <Link
              to="/deployments/$name"
              params={{ name: schedule.deployment }}
              data-row
              className="font-medium hover:text-accent"
            >
              {schedule.deployment}
            </Link>
          )}
          <span className={named ? "text-soft" : "font-medium"}>{schedule.name}</span>
          <code className="font-mono text-12 text-faint">{timingText(schedule.timing)}</code>
          {schedule.fault && <span className="text-bad">{schedule.fault}</span>}
          <span className="ml-auto flex items-center gap-3 text-soft">
            {schedule.paused ? (
              "paused"
            ) : schedule.nextAt ? (
              <Instant at={schedule.nextAt} zone={zoneOf(schedule)} />
            ) : (
              "no further instant"
            )}
            <PauseButton schedule={schedule} />
          </span>
        </li>
      ))}
    </ul>
  );
}
