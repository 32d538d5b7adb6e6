export { checkEnvironment, type Interpreter, interpreterFor } from "./interpreters.ts";
