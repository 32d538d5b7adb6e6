import {
  COLLISIONS,
  type Fault,
  type Limit,
  parseDuration,
  RATE_MS_MAX,
  type SetLimit,
  SLOTS_MAX,
} from "@towpath/contract";
import { durationInput, refusalOf } from "../kernel/form-texts.ts";
import { counted } from "../kernel/format.ts";

/** The texts of the form of a limit, by field. */
export interface LimitTexts {
  readonly kind: Limit["kind"];
  /** Of a queue: `pool/queue`. */
  readonly name: string;
  readonly slots: string;
  /** Whether slots return when their holders end, or after a time. */
  readonly counts: "slots" | "rate";
  /** Of a rate: after how long a token returns. */
  readonly per: string;
  readonly collision: string;
}

/** The texts of a new limit. */
export function newLimitTexts(args: Pick<LimitTexts, "kind" | "name">): LimitTexts {
  return { ...args, slots: "", counts: "slots", per: "1m", collision: "enqueue" };
}

/** The texts of an existing limit. */
export function limitTextsOf({ kind, name, slots, perMs, collision }: Limit): LimitTexts {
  const rate = perMs === null ? {} : { counts: "rate" as const, per: durationInput(perMs) };
  return { ...newLimitTexts({ kind, name }), slots: String(slots), ...rate, collision };
}

/** A whole number of slots. Null: the text is none. */
export function slotsIn(text: string): number | null {
  const slots = Number(text);
  return text.trim() !== "" && Number.isInteger(slots) && slots >= 0 && slots <= SLOTS_MAX ? slots : null;
}

/**
 * The settings of a form.
 * @throws Problem `bad-request` with the path of each faulty field.
 */
export function limitOf(texts: LimitTexts): SetLimit {
  const faults: Fault[] = [];
  const slots = slotsIn(texts.slots);
  if (slots === null)
    faults.push({
      path: "slots",
      message: `Write a whole number from 0 to ${SLOTS_MAX.toLocaleString("en-US")}.`,
    });
  const perMs = texts.counts === "rate" ? parseDuration(texts.per) : null;
  if (texts.counts === "rate" && (perMs === null || perMs < 1 || perMs > RATE_MS_MAX))
    faults.push({
      path: "perMs",
      message: `"${texts.per}" is not a duration of at most 24h. Write it like 1s, 1m or 1h.`,
    });
  if (faults.length > 0) throw refusalOf(faults);
  const collision =
    texts.kind === "deployment" ? COLLISIONS.find((one) => one === texts.collision) : undefined;
  return {
    kind: texts.kind,
    name: texts.name.trim(),
    slots: slots ?? 0,
    perMs,
    collision: collision ?? "enqueue",
  };
}

/** What holds slots of a limit, or would hold slots of a new one. */
export interface Load {
  readonly taken: number;
  readonly waiting: number;
  /** Whether more is taken than was counted. */
  readonly more?: boolean;
}

/** What a number of slots means for the runs of this moment. */
export function effectText(slots: number, { taken, waiting, more = false }: Load): string {
  const wait = waiting === 0 ? "" : ` ${counted(waiting, "request")} ${waiting === 1 ? "waits" : "wait"}.`;
  const now = `${counted(taken, "slot")}${more ? " or more" : ""} ${taken === 1 && !more ? "is" : "are"} taken now.`;
  if (slots === 0) return `${now}${wait} With 0 slots nothing starts. What has started continues.`;
  if (taken > slots)
    return `${now}${wait} What has started continues. Nothing else starts until fewer than ${slots} ${slots === 1 ? "is" : "are"} taken.`;
  const free = slots - taken;
  if (free === 0) return `${now}${wait} No slot is free.`;
  return `${now}${wait} ${free.toLocaleString("en-US")} of ${slots.toLocaleString("en-US")} ${free === 1 ? "is" : "are"} free.`;
}
