import { mkdirSync, writeFileSync } from "node:fs";
import { referencePages } from "./pages.ts";

const folder = new URL("../../docs/reference/", import.meta.url);
mkdirSync(folder, { recursive: true });
for (const page of referencePages()) {
  writeFileSync(new URL(page.path, folder), page.text);
  console.log(`docs/reference/${page.path}`);
}
