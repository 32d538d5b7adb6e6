import { mkdirSync, writeFileSync } from "node:fs";
import { referencePages } from "./pages.ts";

const root = new URL("../../", import.meta.url);
mkdirSync(new URL("docs/reference/", root), { recursive: true });
for (const page of referencePages()) {
  writeFileSync(new URL(page.path, root), page.text);
  console.log(page.path);
}
