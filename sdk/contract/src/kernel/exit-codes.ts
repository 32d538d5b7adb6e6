/** Exit codes: below 64 the outcome of a run, from 64 on a fault of the command (see sysexits.h). */
export const EXIT = {
  ok: 0,
  failed: 1,
  cancelled: 2,
  usage: 64,
  invalidInput: 65,
  notFound: 66,
  unreachable: 69,
  internal: 70,
  cannotWrite: 73,
  notPermitted: 77,
  configuration: 78,
  interrupted: 130,
} as const;
