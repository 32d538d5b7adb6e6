import { isSealed } from "@towpath/contract";
import type { PlainCall, Sealer, SealingOptions } from "./options.ts";

/** The most nested parts of an answer in which sealed values are looked for. */
const DEPTH_MAX = 64;

/** Whether a sealed value stands anywhere in an answer. Cheaper than to walk its schema. */
function holdsSealed(value: unknown, depth = 0): boolean {
  if (isSealed(value)) return true;
  if (typeof value !== "object" || value === null || depth > DEPTH_MAX) return false;
  return Object.values(value).some((part) => holdsSealed(part, depth + 1));
}

/** A sealer whose code is loaded when something must be sealed or opened: most workspaces need none of it. */
export function sealerOf(options: SealingOptions, call: PlainCall): Sealer {
  let loading: Promise<Sealer> | undefined;
  const load = () => {
    loading ??= import("./sealer.ts").then(({ createSealer }) => createSealer(options, call));
    loading.catch(() => {
      loading = undefined;
    });
    return loading;
  };
  return {
    async request(route, input) {
      if (route.body === undefined) return input;
      const keys = typeof options.keys === "function" ? await options.keys() : options.keys;
      if (keys.length === 0) return input;
      return await (await load()).request(route, input);
    },
    async answer(route, args) {
      return holdsSealed(args.value) ? await (await load()).answer(route, args) : args.value;
    },
  };
}
