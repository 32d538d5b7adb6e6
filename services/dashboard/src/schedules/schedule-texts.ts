import {
  CATCH_UP,
  type Fault,
  INTERVAL_MS_MIN,
  OVERLAP,
  parseDuration,
  parseTimeIn,
  type Schedule,
  type ScheduleSettingsInput,
  type TimingInput,
  textInZone,
  Zone,
} from "@towpath/contract";
import { durationInput, refusalOf } from "../kernel/form-texts.ts";

/** The texts of the form of a schedule, by field. */
export interface ScheduleTexts {
  readonly deployment: string;
  readonly name: string;
  readonly kind: TimingInput["kind"];
  readonly cron: string;
  readonly every: string;
  readonly rrule: string;
  /** Of a recurrence rule: its first time, in the zone. */
  readonly start: string;
  readonly zone: string;
  readonly overlap: string;
  readonly catchUp: string;
  readonly window: string;
  readonly jitter: string;
  readonly startsAt: string;
  readonly endsAt: string;
  readonly priority: string;
  readonly expireAfter: string;
  readonly tags: string;
}

/** What an instant is in the form's fields for times: `2026-01-31T09:00:00`. */
function localText(at: string | null, zone: string): string {
  return at === null ? "" : textInZone(at, zone).slice(0, 19);
}

const NEW: Omit<ScheduleTexts, "deployment" | "zone"> = {
  name: "",
  kind: "cron",
  cron: "",
  every: "",
  rrule: "",
  start: "",
  overlap: "allow",
  catchUp: "latest",
  window: "1d",
  jitter: "",
  startsAt: "",
  endsAt: "",
  priority: "0",
  expireAfter: "",
  tags: "",
};

/** The texts of a new schedule. */
export function newTexts(args: { deployment: string; zone: string }): ScheduleTexts {
  return { ...NEW, ...args };
}

/** The texts of an existing schedule. */
export function textsOf(schedule: Schedule): ScheduleTexts {
  const { deployment, name, timing, overlap, catchUp, priority, tags } = schedule;
  const zone = timing.kind === "interval" ? "UTC" : timing.zone;
  return {
    ...NEW,
    deployment,
    name,
    kind: timing.kind,
    zone,
    ...(timing.kind === "cron" && { cron: timing.cron }),
    ...(timing.kind === "interval" && { every: durationInput(timing.everyMs) }),
    ...(timing.kind === "rrule" && { rrule: timing.rrule, start: timing.start }),
    overlap,
    catchUp,
    window: durationInput(schedule.catchUpWindowMs),
    jitter: schedule.jitterMs === 0 ? "" : durationInput(schedule.jitterMs),
    startsAt: localText(schedule.startsAt, zone),
    endsAt: localText(schedule.endsAt, zone),
    priority: String(priority),
    expireAfter: schedule.expireAfterMs === undefined ? "" : durationInput(schedule.expireAfterMs),
    tags: tags.join(", "),
  };
}

/** Collects the faults of a form's texts. */
class Reader {
  readonly faults: Fault[] = [];

  fault(path: string, message: string): void {
    this.faults.push({ path, message });
  }

  /** A duration, milliseconds. Undefined: the text is empty. */
  duration(path: string, text: string): number | undefined {
    if (text.trim() === "") return undefined;
    const ms = parseDuration(text);
    if (ms === null) this.fault(path, `"${text}" is not a duration. Write it like 90s, 15m, 1h30m or 7d.`);
    return ms ?? undefined;
  }

  /** A time in a zone. Null: the text is empty. A text that was not touched keeps its time, with its milliseconds. */
  time(path: string, args: { text: string; zone: string; before: string | null | undefined }): string | null {
    const { text, zone, before } = args;
    if (text.trim() === "") return null;
    if (before && localText(before, zone) === text) return before;
    const at = parseTimeIn(zone, text.trim());
    if (at === null) this.fault(path, "Write it like 2026-01-31T09:00.");
    return at;
  }
}

function zoneIn(texts: ScheduleTexts, reader: Reader): string {
  if (texts.kind === "interval") return "UTC";
  if (Zone.safeParse(texts.zone).success) return texts.zone;
  reader.fault("timing.zone", "This is not a time zone of the IANA database, such as Europe/Berlin.");
  return "UTC";
}

function timingIn(
  texts: ScheduleTexts,
  args: { reader: Reader; zone: string; before: Schedule | null },
): TimingInput {
  const { reader, zone, before } = args;
  switch (texts.kind) {
    case "cron":
      if (texts.cron.trim() === "") reader.fault("timing.cron", "The cron expression is missing.");
      return { kind: "cron", cron: texts.cron.trim(), zone };
    case "interval": {
      const everyMs = reader.duration("timing.everyMs", texts.every);
      if (everyMs === undefined && texts.every.trim() === "")
        reader.fault("timing.everyMs", "The interval is missing.");
      const anchor = before?.timing.kind === "interval" ? { anchor: before.timing.anchor } : {};
      return { kind: "interval", everyMs: everyMs ?? INTERVAL_MS_MIN, ...anchor };
    }
    case "rrule":
      if (texts.rrule.trim() === "") reader.fault("timing.rrule", "The rule is missing.");
      if (texts.start === "") reader.fault("timing.start", "The first time is missing.");
      return { kind: "rrule", rrule: texts.rrule.trim(), start: texts.start, zone };
  }
}

/** The timing and its bounds, for a preview. */
export interface Previewed {
  readonly timing: TimingInput;
  readonly startsAt: string | null;
  readonly endsAt: string | null;
}

function previewIn(texts: ScheduleTexts, args: { reader: Reader; before: Schedule | null }): Previewed {
  const { reader, before } = args;
  const zone = zoneIn(texts, reader);
  const timeAt = (path: "startsAt" | "endsAt") =>
    reader.time(path, { text: texts[path], zone, before: before?.[path] });
  const timing = timingIn(texts, { reader, zone, before });
  return { timing, startsAt: timeAt("startsAt"), endsAt: timeAt("endsAt") };
}

/** The timing of a form. Null: a field is empty or faulty. */
export function previewOf(texts: ScheduleTexts, before: Schedule | null): Previewed | null {
  const reader = new Reader();
  const found = previewIn(texts, { reader, before });
  return reader.faults.length === 0 ? found : null;
}

/**
 * The settings of a form.
 * @throws Problem `bad-request` with the path of each faulty field.
 */
export function settingsOf(
  texts: ScheduleTexts,
  args: { before: Schedule | null; parameters: Schedule["parameters"] },
): ScheduleSettingsInput {
  const reader = new Reader();
  const timed = previewIn(texts, { reader, before: args.before });
  const windowMs = reader.duration("catchUpWindowMs", texts.window);
  const expireAfterMs = reader.duration("expireAfterMs", texts.expireAfter);
  const jitterMs = reader.duration("jitterMs", texts.jitter);
  const priority = Number(texts.priority);
  if (texts.priority.trim() === "" || !Number.isInteger(priority))
    reader.fault("priority", "Write a whole number from -100 to 100.");
  if (reader.faults.length > 0) throw refusalOf(reader.faults);
  return {
    name: texts.name.trim(),
    ...timed,
    parameters: args.parameters,
    overlap: OVERLAP.find((one) => one === texts.overlap) ?? "allow",
    catchUp: CATCH_UP.find((one) => one === texts.catchUp) ?? "latest",
    ...(windowMs !== undefined && { catchUpWindowMs: windowMs }),
    ...(jitterMs !== undefined && { jitterMs }),
    ...(expireAfterMs !== undefined && { expireAfterMs }),
    priority,
    tags: texts.tags
      .split(",")
      .map((tag) => tag.trim())
      .filter(Boolean),
  };
}
