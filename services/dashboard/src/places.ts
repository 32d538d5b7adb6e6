import type { IconName } from "./kernel/icon.tsx";

/** The screens that the rail leads to, in its order; `g` and the key go there. */
export const PLACES = [
  { name: "Home", to: "/", icon: "home", key: "h" },
  { name: "Runs", to: "/runs", icon: "runs", key: "r" },
  { name: "Waits", to: "/waits", icon: "waits", key: "w" },
  { name: "Deployments", to: "/deployments", icon: "deployments", key: "d" },
  { name: "Pools", to: "/pools", icon: "pools", key: "p" },
  { name: "Schedules", to: "/schedules", icon: "schedules", key: "s" },
  { name: "Limits", to: "/limits", icon: "limits", key: "l" },
  { name: "Notify", to: "/notify", icon: "notify", key: "n" },
  { name: "Keys", to: "/keys", icon: "keys", key: "k" },
  { name: "States", to: "/states", icon: "states", key: "t" },
] as const satisfies readonly { name: string; to: string; icon: IconName; key: string }[];
