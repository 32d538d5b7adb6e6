import {
  Problem,
  RATE_LIMITS,
  RATE_WINDOW_SECONDS,
  type RateClass,
  type RateLimit,
  type RateSubject,
} from "@towpath/contract";
import type { Headers } from "./headers.ts";

/** The subjects for whom a request counts, by their kinds. */
export type Subjects = Readonly<Partial<Record<RateSubject, string>>>;

/** Counts requests to this process only. Each of several processes grants the full limit. */
export interface RateLimiter {
  /** Counts one request, unless it is refused. A request that costs more than the limit needs a full bucket. @default 1 */
  take(rate: RateClass, subjects: Subjects, cost?: number): Taken;
}

/** The result of counting a request. */
export interface Taken {
  /** The headers with the remaining requests. Made only on use. */
  headers(): Headers;
  /** Why the request is refused: `too-many-requests`, with the time until the next one is accepted. */
  readonly refusal: Problem | null;
}

/** Limits that replace the defaults, by `class.subject`. Null removes a limit. */
export type RateOverrides = ReadonlyMap<string, number | null>;

const WINDOW_MS = RATE_WINDOW_SECONDS * 1000;
/** The most subjects that one limit remembers. Subjects that were quiet for a window are dropped first. */
const SUBJECTS_MAX = 20_000;

/** The largest rounding error in sums of fractions, milliseconds. */
const ROUNDING_MS = 0.001;

/** One limit on one kind of subject, as a token bucket that fills steadily. */
interface Bucket {
  readonly subject: RateSubject;
  readonly policy: string;
  readonly name: string;
  /** The time in which one token returns, milliseconds. */
  readonly tokenMs: number;
  /** The time at which each subject's bucket is full again. Missing: it is full now. */
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

/** The time in which an empty bucket fills, milliseconds. */
const wholeMs = (bucket: Bucket) => Math.max(WINDOW_MS, bucket.tokenMs);

/** The time in which this many tokens return, milliseconds. */
const costMs = (bucket: Bucket, cost: number) => Math.min(cost * bucket.tokenMs, wholeMs(bucket));

/** The time until a bucket has enough tokens, milliseconds. 0 or less: it has them now. */
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
    `The limit "${bucket.name}" is reached: ${whose[bucket.subject]} has sent too many requests. Send the next one after the time in \`Retry-After\`.`,
    { retryAfterMs: afterMs },
  );
}

/**
 * Makes a limiter. Tokens return steadily, and a full bucket holds those of one window. So a burst passes, and a steady
 * flood is held to its rate. It keeps one number for each subject.
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
 * The remaining requests of each limit that was counted.
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
