import {
  BellIcon,
  Box,
  Clock,
  Gauge,
  House,
  KeyRound,
  List,
  type LucideIcon,
  MessageCircleQuestionMark,
  Server,
  Workflow,
} from "lucide-react";

/** The screens of the sidebar, in its order. The keys `g` and `key` open a screen. */
export const PAGES = [
  { name: "Home", to: "/", icon: House, key: "h" },
  { name: "Runs", to: "/runs", icon: List, key: "r" },
  { name: "Waits", to: "/waits", icon: MessageCircleQuestionMark, key: "w" },
  { name: "Deployments", to: "/deployments", icon: Box, key: "d" },
  { name: "Pools", to: "/pools", icon: Server, key: "p" },
  { name: "Schedules", to: "/schedules", icon: Clock, key: "s" },
  { name: "Limits", to: "/limits", icon: Gauge, key: "l" },
  { name: "Notifiers", to: "/notify", icon: BellIcon, key: "n" },
  { name: "Keys", to: "/keys", icon: KeyRound, key: "k" },
  { name: "States", to: "/states", icon: Workflow, key: "t" },
] as const satisfies readonly { name: string; to: string; icon: LucideIcon; key: string }[];
