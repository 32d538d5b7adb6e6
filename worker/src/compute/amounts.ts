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

/** The amounts and devices of a worker. */
export interface Stock {
  readonly amounts: Amounts;
  readonly gpus: readonly Gpu[];
}

/** The amounts and devices of an attempt. */
export interface Taken {
  readonly needs: Amounts;
  /** Ids of devices. No other attempt has them meanwhile. */
  readonly gpus: readonly string[];
}

/** The attempt needs more than is free now. */
export class DoesNotFit extends Error {
  override readonly name = "DoesNotFit";
}

/** What a worker has: what is declared, otherwise what was detected. */
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

/** The devices that no attempt has. */
function freeGpus({ gpus }: Stock, taken: readonly Taken[]): Gpu[] {
  const used = new Set(taken.flatMap((one) => one.gpus));
  return gpus.filter(({ id }) => !used.has(id));
}

/** What is free: amounts by the needs of attempts, devices by those that they have. */
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

/** Sums thousandths, which avoids errors of binary fractions. */
function round(amount: number): number {
  return Math.round(amount * 1000) / 1000;
}

/**
 * Takes what a run needs, devices by their ids: of the kind it asks for, or else of the kind with the most free
 * devices.
 * @param taken What other attempts have.
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
