export { limitCoreDumps, UMASK, userEnvironment } from "./launcher.ts";
export { giveTree, removeUnfollowed } from "./own-tree.ts";
export { DEFAULT_UIDS, type RunAs, type RunAsSetting, rangeOf, runAsOf } from "./run-as.ts";
export { type AttemptValues, closeValues, openValues } from "./share-store.ts";
export { type AttemptUser, NoUserFree } from "./users.ts";
export { judgeWalls, noWalls, standWalls, type WallGround, WallImpossible, type Walls } from "./walls.ts";
