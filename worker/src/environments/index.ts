export { EnvironmentError } from "./environment-error.ts";
export {
  BUILD_MS,
  type BuiltEnvironment,
  bringEnvironment,
  type EnvironmentDeps,
  holdEnvironment,
  type LockedEnvironment,
} from "./environments.ts";
export { checkEnvironment, defaultPython, type Interpreter, interpreterFor } from "./interpreters.ts";
export { bringPackages, holdPackages } from "./npm.ts";
