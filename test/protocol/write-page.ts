import { readFileSync, writeFileSync } from "node:fs";
import { PAGE, withVectors } from "./page.ts";
import { readVectors } from "./vector.ts";

writeFileSync(PAGE, withVectors(readFileSync(PAGE, "utf8"), readVectors()));
console.log("docs/reference/run-protocol.md");
