import type { CATCH_UP, OVERLAP } from "@towpath/contract";
import type { HTMLInputTypeAttribute } from "react";
import { FormField } from "../kernel/edit-form.tsx";
import type { ScheduleTexts } from "./schedule-texts.ts";

/** The texts of a form, and what changes them. */
interface Props {
  readonly texts: ScheduleTexts;
  readonly onTexts: (texts: Partial<ScheduleTexts>) => void;
}

type TextName = Exclude<keyof ScheduleTexts, "kind">;

const KINDS: Readonly<Record<ScheduleTexts["kind"], string>> = {
  cron: "Cron expression",
  interval: "Fixed interval",
  rrule: "Recurrence rule",
};

const OVERLAPS: Readonly<Record<(typeof OVERLAP)[number], string>> = {
  allow: "Run both at the same time",
  skip: "Skip the new run",
  wait: "Start the new run when the previous one ends",
  "cancel-running": "Cancel the previous run",
};

const CATCH_UPS: Readonly<Record<(typeof CATCH_UP)[number], string>> = {
  latest: "Run the latest missed time",
  all: "Run all missed times",
  none: "Run none of them",
};

/** A text field. */
function TextField({
  texts,
  onTexts,
  of,
  path,
  name,
  hint,
  type = "text",
  mono = false,
  ...more
}: Props & {
  of: TextName;
  path: string;
  name: string;
  hint?: string;
  type?: HTMLInputTypeAttribute;
  /** Whether the text is code. */
  mono?: boolean;
  placeholder?: string;
  list?: string;
  className?: string;
}) {
  const { className, ...rest } = more;
  return (
    <FormField path={path} name={name} {...(hint && { hint })} {...(className && { className })}>
      {(attributes) => (
        <input
          {...attributes}
          {...rest}
          type={type}
          {...(type === "datetime-local" && { step: 1 })}
          autoComplete="off"
          spellCheck={false}
          className={`field aria-invalid:border-bad ${mono ? "font-mono" : ""}`}
          value={texts[of]}
          onChange={(event) => onTexts({ [of]: event.target.value })}
        />
      )}
    </FormField>
  );
}

function ChoiceField({
  texts,
  onTexts,
  of,
  name,
  words,
}: Props & { of: "overlap" | "catchUp"; name: string; words: Readonly<Record<string, string>> }) {
  return (
    <FormField path={of} name={name}>
      {(attributes) => (
        <select
          {...attributes}
          className="field"
          value={texts[of]}
          onChange={(event) => onTexts({ [of]: event.target.value })}
        >
          {Object.entries(words).map(([value, text]) => (
            <option key={value} value={value}>
              {text}
            </option>
          ))}
        </select>
      )}
    </FormField>
  );
}

const ZONES_ID = "zones-of-schedules";

/** The time zone, with the names that the browser knows. */
function ZoneField(props: Props) {
  return (
    <>
      <TextField {...props} of="zone" path="timing.zone" name="Time zone" list={ZONES_ID} />
      <datalist id={ZONES_ID}>
        {["UTC", ...Intl.supportedValuesOf("timeZone")].map((zone) => (
          <option key={zone} value={zone} />
        ))}
      </datalist>
    </>
  );
}

/** The fields that say when a schedule runs. */
export function TimingFields({ texts, onTexts }: Props) {
  const props = { texts, onTexts };
  return (
    <div className="grid gap-3 sm:grid-cols-2">
      <FormField path="timing.kind" name="Runs by">
        {(attributes) => (
          <select
            {...attributes}
            className="field"
            value={texts.kind}
            onChange={({ target }) =>
              onTexts({
                kind: target.value === "interval" || target.value === "rrule" ? target.value : "cron",
              })
            }
          >
            {Object.entries(KINDS).map(([kind, text]) => (
              <option key={kind} value={kind}>
                {text}
              </option>
            ))}
          </select>
        )}
      </FormField>
      {texts.kind === "interval" ? (
        <TextField {...props} of="every" path="timing.everyMs" name="Every" placeholder="15m" mono />
      ) : (
        <ZoneField {...props} />
      )}
      {texts.kind === "cron" && (
        <TextField
          {...props}
          of="cron"
          path="timing.cron"
          name="Cron expression"
          hint="minute hour day month weekday"
          placeholder="0 3 * * 1-5"
          className="sm:col-span-2"
          mono
        />
      )}
      {texts.kind === "rrule" && (
        <>
          <TextField
            {...props}
            of="rrule"
            path="timing.rrule"
            name="Rule"
            hint="RFC 5545"
            placeholder="FREQ=MONTHLY;BYDAY=-1FR"
            mono
          />
          <TextField {...props} of="start" path="timing.start" name="First time" type="datetime-local" />
        </>
      )}
    </div>
  );
}

/** The settings that most schedules leave as they are. */
export function MoreFields({ texts, onTexts }: Props) {
  const props = { texts, onTexts };
  const zone = texts.kind === "interval" ? "UTC" : texts.zone;
  return (
    <details className="border-t border-line pt-3">
      <summary className="text-12 font-medium">Overlap, missed times and more</summary>
      <div className="mt-3 grid gap-3 sm:grid-cols-2">
        <ChoiceField {...props} of="overlap" name="If the previous run has not ended" words={OVERLAPS} />
        <ChoiceField {...props} of="catchUp" name="After an outage" words={CATCH_UPS} />
        <TextField
          {...props}
          of="window"
          path="catchUpWindowMs"
          name="Missed times up to"
          hint="at most 30d old"
          placeholder="1d"
        />
        <TextField
          {...props}
          of="jitter"
          path="jitterMs"
          name="Delay each run by up to"
          hint="at most 1h"
          placeholder="none"
        />
        <TextField
          {...props}
          of="startsAt"
          path="startsAt"
          name="No run before"
          hint={zone}
          type="datetime-local"
        />
        <TextField
          {...props}
          of="endsAt"
          path="endsAt"
          name="No run at or after"
          hint={zone}
          type="datetime-local"
        />
        <TextField {...props} of="priority" path="priority" name="Priority" hint="-100 to 100" />
        <TextField
          {...props}
          of="expireAfter"
          path="expireAfterMs"
          name="Fail if not started within"
          placeholder="the deployment's default"
        />
        <TextField
          {...props}
          of="tags"
          path="tags"
          name="Tags"
          hint="separated by commas; a limit can apply to a tag"
          className="sm:col-span-2"
        />
      </div>
    </details>
  );
}
