/** Amounts by name: `cpu` in cores, `memory` in bytes, `gpu` in devices, `gpu:KIND` in devices of a kind, and custom names. */
export type Amounts = Readonly<Record<string, number>>;

/** The compute of a run in a signed spec. */
export interface ComputeNeeds {
  readonly cpu?: number | undefined;
  readonly memoryBytes?: number | undefined;
  readonly gpu?: { readonly count: number; readonly kind?: string | null | undefined } | undefined;
  readonly amounts?: Amounts | undefined;
}

/** The name under which GPUs of every kind are counted. */
export const GPU = "gpu";

/** The rounding error of sums. The smallest amount is a thousandth. */
const TOLERANCE = 1e-6;

/** The name under which GPUs of a kind are counted. */
export function gpuOf(kind: string): string {
  return `${GPU}:${kind}`;
}

/** The amounts that a run needs, by name. Devices of a kind also count as devices. */
export function needsOf(compute: ComputeNeeds): Amounts {
  const { cpu, memoryBytes, gpu, amounts } = compute;
  return {
    ...amounts,
    ...(cpu === undefined ? {} : { cpu }),
    ...(memoryBytes === undefined ? {} : { memory: memoryBytes }),
    ...(gpu === undefined ? {} : { [GPU]: gpu.count }),
    ...(gpu?.kind ? { [gpuOf(gpu.kind)]: gpu.count } : {}),
  };
}

/** The names of the amounts of which there is too little. */
export function lacking(free: Amounts, needs: Amounts): string[] {
  return Object.entries(needs).flatMap(([name, amount]) =>
    (free[name] ?? 0) + TOLERANCE >= amount ? [] : [name],
  );
}

/** Whether there is enough of everything. */
export function covers(free: Amounts, needs: Amounts): boolean {
  return lacking(free, needs).length === 0;
}

/** What is left of amounts; below zero where more was taken than there is. */
export function without(amounts: Amounts, taken: Amounts): Amounts {
  const left = { ...amounts };
  for (const [name, amount] of Object.entries(taken)) left[name] = (left[name] ?? 0) - amount;
  return left;
}

/** All of several amounts together. */
export function sumOf(all: Iterable<Amounts>): Amounts {
  const sum: Record<string, number> = {};
  for (const one of all)
    for (const [name, amount] of Object.entries(one)) sum[name] = (sum[name] ?? 0) + amount;
  return sum;
}

const BYTES = [
  ["TiB", 2 ** 40],
  ["GiB", 2 ** 30],
  ["MiB", 2 ** 20],
  ["KiB", 2 ** 10],
] as const;

const UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  ...Object.fromEntries(BYTES),
};

/** Parses a size (`4 GiB`, `512MiB`, `1.5 TB`) into bytes. Null if it is not a size, or below one byte. */
export function parseBytes(text: string): number | null {
  const [, number = "", unit = ""] = /^(\d{1,15}(?:\.\d{1,3})?)\s*([KMGT]i?B|B)$/.exec(text.trim()) ?? [];
  const bytes = Math.round(Number(number) * (UNITS[unit] ?? 0));
  return bytes >= 1 && Number.isSafeInteger(bytes) ? bytes : null;
}

/** A readable size: `4 GiB`. */
export function bytesText(bytes: number): string {
  const [unit, size] = BYTES.find(([, one]) => Math.abs(bytes) >= one) ?? ["B", 1];
  return `${plain(bytes / size)} ${unit}`;
}

function plain(value: number): string {
  return String(Number(value.toFixed(value >= 100 ? 0 : 2)));
}

/** One amount for people: `2 × a100`, `4 GiB of memory`, `1.5 CPUs`, `1 × licences`. */
export function amountText(name: string, amount: number): string {
  if (name === "cpu") return `${plain(amount)} ${amount === 1 ? "CPU" : "CPUs"}`;
  if (name === "memory") return `${bytesText(amount)} of memory`;
  if (name === GPU) return `${plain(amount)} ${amount === 1 ? "GPU" : "GPUs"}`;
  return `${plain(amount)} × ${calledAmount(name)}`;
}

/** An amount's name for people: that of a kind of GPU is the kind. */
export function calledAmount(name: string): string {
  if (name === "cpu") return "CPU";
  if (name === GPU) return "GPU";
  return name.startsWith(`${GPU}:`) ? name.slice(GPU.length + 1) : name;
}

/** The amounts to show. Devices of a kind are shown only by their kind. */
export function shownAmounts(needs: Amounts): [string, number][] {
  const kinds = Object.keys(needs).filter((name) => name.startsWith(`${GPU}:`));
  const ofKinds = kinds.reduce((sum, name) => sum + (needs[name] ?? 0), 0);
  const names = Object.keys(needs).filter(
    (name) => name !== GPU || kinds.length === 0 || ofKinds < (needs[GPU] ?? 0),
  );
  return sorted(names).map((name) => [name, needs[name] ?? 0]);
}

/** Amounts for people: `2 × a100, 4 CPUs and 16 GiB of memory`. Empty if there are none. */
export function amountsText(needs: Amounts): string {
  const parts = shownAmounts(needs).map(([name, amount]) => amountText(name, amount));
  return parts.length < 2 ? parts.join("") : `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`;
}

/** One of a worker's amounts, and how much of it is taken. */
export interface StockPart {
  readonly name: string;
  readonly taken: number;
  readonly total: number;
  /** For people: `3 of 8 CPUs`. */
  readonly text: string;
}

/** A worker's amounts and how much is taken. GPUs of only one kind are shown by that kind. */
export function stockParts(total: Amounts, taken: Amounts): StockPart[] {
  const kinds = Object.keys(total).filter((name) => name.startsWith(`${GPU}:`));
  const only = kinds.length === 1 && total[kinds[0] ?? ""] === total[GPU] ? kinds[0] : null;
  const names = Object.keys(total).filter((name) => name !== GPU || only === null);
  return sorted(names).map((name) => {
    const has = total[name] ?? 0;
    const used = taken[name === only ? GPU : name] ?? 0;
    return { name, taken: used, total: has, text: `${unitless(name, used)} of ${labelled(name, has)}` };
  });
}

function unitless(name: string, amount: number): string {
  return name === "memory" ? bytesText(amount) : plain(amount);
}

function labelled(name: string, amount: number): string {
  if (name === "cpu" || name === GPU || name === "memory") return amountText(name, amount);
  return `${plain(amount)} ${calledAmount(name)}`;
}

const FIRST: readonly string[] = ["cpu", "memory", GPU];

/** Sorts names for reading: cores, memory, GPUs, then the rest by name. */
function sorted(names: readonly string[]): string[] {
  const rank = (name: string) => {
    const place = FIRST.indexOf(name.split(":")[0] ?? "");
    return place === -1 ? FIRST.length : place;
  };
  return names.toSorted((one, other) => rank(one) - rank(other) || (one < other ? -1 : 1));
}

/** A worker's total amounts. */
export interface HasAmounts {
  readonly total: Amounts;
}

/**
 * Why no worker is ever large enough for these needs, as the end of a sentence, or null if one is: "needs 2 × a100; the workers of pool
 * "gpu" have at most 1".
 */
export function neverHeld(
  needs: Amounts,
  args: { readonly pool: string; readonly workers: readonly HasAmounts[] },
): string | null {
  if (args.workers.some(({ total }) => covers(total, needs))) return null;
  const most = (name: string) => Math.max(0, ...args.workers.map(({ total }) => total[name] ?? 0));
  const tooFew = shownAmounts(needs).filter(
    ([name, amount]) => lacking({ [name]: most(name) }, { [name]: amount }).length > 0,
  );
  const who = `the workers of pool "${args.pool}"`;
  if (tooFew.length === 0)
    return `needs ${amountsText(needs)} on one worker; ${who} have each of these amounts, but no worker has all of them`;
  const has = tooFew.map(([name]) =>
    most(name) === 0 ? `no ${calledAmount(name)}` : `at most ${mostText(name, most(name))}`,
  );
  const wants = tooFew.map(([name, amount]) => amountText(name, amount)).join(" and ");
  return `needs ${wants}; ${who} have ${has.join(" and ")}`;
}

function mostText(name: string, amount: number): string {
  return name === "memory" ? bytesText(amount) : plain(amount);
}
