import type { Case } from "./case.ts";
import { CROWD_CASES } from "./crowds.ts";
import { DATABASE_CASES } from "./database.ts";
import { DEATH_CASES } from "./deaths.ts";
import { FAILPOINT_CASES } from "./failpoints.ts";
import { LINK_CASES } from "./links.ts";
import { REPLICA_CASES } from "./replicas.ts";
import { TRAVEL_CASES } from "./travel.ts";

/** The whole matrix. */
export const CASES: readonly Case[] = [
  ...FAILPOINT_CASES,
  ...DEATH_CASES,
  ...DATABASE_CASES,
  ...LINK_CASES,
  ...CROWD_CASES,
  ...REPLICA_CASES,
  ...TRAVEL_CASES,
];
