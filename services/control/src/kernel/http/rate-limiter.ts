import {
  Problem,
  RATE_LIMITS,
  RATE_WINDOW_SECONDS,
  type RateClass,
  type RateLimit,
  type RateSubject,
} from "@towpath/contract";
import type { Headers } from "./headers.ts";

/** Who a request counts for, by each subject that its class may name. */
export type Subjects = Readonly<Partial<Record<RateSubject, string>>>;

/** Counts requests, in this process alone: of several, each grants the limit. */
export interface RateLimiter {
  /** Counts one request, unless it is refused. One that costs more than a limit holds is served when that is full. @default 1 */
  take(rate: RateClass, subjects: Subjects, cost?: number): Taken;
}

/** What comes of counting a request. */
export interface Taken {
  /** Tell how much is left. Made for those who are told. */
  headers(): Headers;
  /** Why it is not served: `too-many-requests`, with the time after which the next one is. */
  readonly refusal: Problem | null;
}

/** Numbers that replace the table's, by `class.subject`; null lifts a limit. */
export type RateOverrides = ReadonlyMap<string, number | null>;

const WINDOW_MS = RATE_WINDOW_SECONDS * 1000;
/** The most subjects that one limit remembers. Those who have been quiet for a window are forgotten first. */
const SUBJECTS_MAX = 20_000;

/** Sums of fractions of milliseconds are off by less than this. */
const ROUNDING_MS = 0.001;

/** One limit on one kind of subject, as a bucket of tokens that fills steadily. */
interface Bucket {
  readonly subject: RateSubject;
  readonly policy: string;
  readonly name: string;
  /** Milliseconds in which one token comes back. */
  readonly tokenMs: number;
  /** By subject: the instant at which its bucket is full again. None: it is full now. */
  readonly fullAtMs: Map<string, number>;
}

function bucketsOf(rate: RateClass, overrides: RateOverrides): Bucket[] {
  const { perSecond }: RateLimit = RATE_LIMITS[rate];
  return (Object.keys(perSecond) as RateSubject[]).flatMap((subject) => {
    const name = `${rate}-${subject}`;
    const replaced = overrides.get(`${rate}.${subject}`);
    const count = replaced === undefined ? perSecond[subject] : replaced;
    if (count === undefined || count === null) return [];
    const policy = `"${name}";q=${Math.max(1, Math.floor(count * RATE_WINDOW_SECONDS))};w=${RATE_WINDOW_SECONDS}`;
    return [{ subject, name, policy, tokenMs: 1000 / count, fullAtMs: new Map<string, number>() }];
  });
}

function forgetQuiet(bucket: Bucket, nowMs: number): void {
  for (const [key, fullAtMs] of bucket.fullAtMs) if (fullAtMs <= nowMs) bucket.fullAtMs.delete(key);
  if (bucket.fullAtMs.size >= SUBJECTS_MAX) bucket.fullAtMs.clear();
}

/** How long a bucket that is empty takes to fill, milliseconds. */
const wholeMs = (bucket: Bucket) => Math.max(WINDOW_MS, bucket.tokenMs);

/** What so many tokens are in a bucket, milliseconds. */
const costMs = (bucket: Bucket, cost: number) => Math.min(cost * bucket.tokenMs, wholeMs(bucket));

/** How long until a bucket holds so many tokens, milliseconds; 0 or less if it does. */
function waitMs(bucket: Bucket, args: { key: string; nowMs: number; cost: number }): number {
  const fullAtMs = Math.max(bucket.fullAtMs.get(args.key) ?? 0, args.nowMs);
  return fullAtMs + costMs(bucket, args.cost) - args.nowMs - wholeMs(bucket);
}

function refusal(bucket: Bucket, afterMs: number): Problem {
  const whose = {
    key: "this key",
    workspace: "this workspace",
    worker: "this worker",
    address: "this address",
  };
  return new Problem(
    "too-many-requests",
    `The limit "${bucket.name}" is reached: ${whose[bucket.subject]} has sent as many requests as it may. Send the next one after the time in \`Retry-After\`.`,
    { retryAfterMs: afterMs },
  );
}

/**
 * Makes a limiter. Tokens come back steadily and a full bucket holds those of one window, so a burst passes and a steady flood
 * is held to its rate. One number is kept for each subject.
 * @param args.nowMs A clock that never goes back. @default the process's
 */
export function createRateLimiter(
  args: { overrides?: RateOverrides; nowMs?: () => number } = {},
): RateLimiter {
  const { overrides = new Map(), nowMs: clock = () => performance.now() } = args;
  const all = Object.fromEntries(
    (Object.keys(RATE_LIMITS) as RateClass[]).map((rate) => [rate, bucketsOf(rate, overrides)]),
  );
  return {
    take(rate, subjects, cost = 1) {
      const nowMs = clock();
      const counted = (all[rate] ?? []).flatMap((bucket) => {
        const key = subjects[bucket.subject];
        return key === undefined ? [] : [{ bucket, key }];
      });
      const headers = () => headersOf(counted, nowMs);
      for (const { bucket, key } of counted) {
        const afterMs = waitMs(bucket, { key, nowMs, cost });
        if (afterMs > ROUNDING_MS)
          return { headers, refusal: refusal(bucket, Math.ceil(afterMs - ROUNDING_MS)) };
      }
      for (const { bucket, key } of counted) {
        if (bucket.fullAtMs.size >= SUBJECTS_MAX) forgetQuiet(bucket, nowMs);
        bucket.fullAtMs.set(key, Math.max(bucket.fullAtMs.get(key) ?? 0, nowMs) + costMs(bucket, cost));
      }
      return { headers, refusal: null };
    },
  };
}

/**
 * What is left, of each limit that was counted.
 * @see https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/
 */
function headersOf(counted: readonly { bucket: Bucket; key: string }[], nowMs: number): Headers {
  if (counted.length === 0) return {};
  const left = counted.map(({ bucket, key }) => {
    const untilFullMs = Math.max(0, (bucket.fullAtMs.get(key) ?? nowMs) - nowMs - ROUNDING_MS);
    const remaining = Math.max(0, Math.floor((WINDOW_MS - untilFullMs) / bucket.tokenMs));
    return `"${bucket.name}";r=${remaining};t=${Math.ceil(untilFullMs / 1000)}`;
  });
  return {
    "ratelimit-policy": counted.map(({ bucket }) => bucket.policy).join(", "),
    ratelimit: left.join(", "),
  };
}
