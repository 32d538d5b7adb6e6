export { limitCoreDumps, UMASK, userEnvironment } from "./launcher.ts";
export {
  firstProcess,
  INFO_FD,
  isRunnerInside,
  type Namespaces,
  processesUnder,
  type Sight,
  untilMounted,
} from "./namespaces.ts";
export { giveTree, removeUnfollowed } from "./own-tree.ts";
export { INSIDE, makeRoom, ROOM, ROOM_NAME } from "./room.ts";
export {
  DEFAULT_UIDS,
  type NamespacesSetting,
  namespacesOf,
  type RunAs,
  type RunAsSetting,
  rangeOf,
  runAsOf,
} from "./run-as.ts";
export { type AttemptValues, closeValues, openValues } from "./share-store.ts";
export { isWatchdog } from "./user-processes.ts";
export { type AttemptUser, NoUserFree } from "./users.ts";
export { hiddenFor, storeParts, type View } from "./view.ts";
export {
  foldersOf,
  isRequired,
  judgeWalls,
  noWalls,
  standWalls,
  type WallGround,
  WallImpossible,
  type WallKind,
  type Walls,
} from "./walls.ts";
