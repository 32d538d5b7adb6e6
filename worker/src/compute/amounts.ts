import {
  type Amounts,
  amountsText,
  type ComputeNeeds,
  covers,
  GPU,
  gpuOf,
  lacking,
  needsOf,
  without,
} from "@towpath/contract";
import type { Declared, Gpu } from "./declared.ts";
import type { Detected } from "./detect.ts";

/** All that a worker has for runs that need some. */
export interface Stock {
  readonly amounts: Amounts;
  readonly gpus: readonly Gpu[];
}

/** What an attempt has of it. */
export interface Taken {
  readonly needs: Amounts;
  /** Ids of devices, which no other attempt has meanwhile. */
  readonly gpus: readonly string[];
}

/** The attempt needs more than is free here now. */
export class DoesNotFit extends Error {
  override readonly name = "DoesNotFit";
}

/** What a worker has: what is declared, and what was detected where nothing is. */
export function stockOf(declared: Declared, detected: Detected): Stock {
  const { cpu, memory, gpus: named, own } = declared;
  const gpus = named ?? detected.gpus;
  return {
    gpus,
    amounts: {
      ...own,
      cpu: cpu ?? detected.cpu,
      memory: memory ?? detected.memory,
      ...(gpus.length === 0 ? {} : countOf(gpus)),
    },
  };
}

function countOf(gpus: readonly Gpu[]): Amounts {
  const kinds = Map.groupBy(
    gpus.flatMap(({ kind }) => kind ?? []),
    (kind) => kind,
  );
  return {
    [GPU]: gpus.length,
    ...Object.fromEntries([...kinds].map(([kind, all]) => [gpuOf(kind), all.length])),
  };
}

/** The devices that nobody has. */
function freeGpus({ gpus }: Stock, taken: readonly Taken[]): Gpu[] {
  const used = new Set(taken.flatMap((one) => one.gpus));
  return gpus.filter(({ id }) => !used.has(id));
}

/** What is free: amounts by what attempts need, devices by those that they really have. */
export function freeOf(stock: Stock, taken: readonly Taken[]): Amounts {
  const left = taken.reduce<Amounts>((free, { needs }) => without(free, needs), stock.amounts);
  const devices = countOf(freeGpus(stock, taken));
  return Object.fromEntries(
    Object.entries(left).map(([name, amount]) => [
      name,
      Math.max(0, name === GPU || name.startsWith(`${GPU}:`) ? (devices[name] ?? 0) : round(amount)),
    ]),
  );
}

/** Sums of thousandths, without what binary fractions add. */
function round(amount: number): number {
  return Math.round(amount * 1000) / 1000;
}

/**
 * Takes what a run needs, devices by their ids: those of the kind asked for, and where none is, of the kind that most are free of.
 * @param taken What others have.
 * @throws DoesNotFit
 */
export function take(stock: Stock, taken: readonly Taken[], compute: ComputeNeeds): Taken {
  const needs = needsOf(compute);
  const free = freeOf(stock, taken);
  if (!covers(free, needs)) throw new DoesNotFit(tooMuch(stock, { needs, free }));
  const { count = 0, kind = null } = compute.gpu ?? {};
  return { needs, gpus: chosen(freeGpus(stock, taken), { count, kind }) };
}

function chosen(free: readonly Gpu[], args: { count: number; kind: string | null }): string[] {
  const able = free.filter(({ kind }) => args.kind === null || kind === args.kind);
  const ofKind = Map.groupBy(able, ({ kind }) => kind);
  const most = able.toSorted(
    (one, other) => (ofKind.get(other.kind)?.length ?? 0) - (ofKind.get(one.kind)?.length ?? 0),
  );
  return most.slice(0, args.count).map(({ id }) => id);
}

function tooMuch({ amounts }: Stock, args: { needs: Amounts; free: Amounts }): string {
  const lacks = lacking(args.free, args.needs);
  const only = (some: Amounts) => Object.fromEntries(lacks.map((name) => [name, some[name] ?? 0]));
  const has = covers(amounts, args.needs)
    ? `${amountsText(only(args.free))} free`
    : `${amountsText(only(amounts))} in all`;
  return `It needs ${amountsText(only(args.needs))}; this worker has ${has}.`;
}
