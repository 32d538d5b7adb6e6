import { expect, test } from "vitest";
import { ATTACKS } from "./attacks/index.ts";
import { wireFields } from "./fields.ts";
test("x", () => {
  const plain = (f: string) => f.replaceAll("[]", "");
  const covered = ATTACKS.flatMap(({ fields }) => fields).filter((one) => !/^(claim|renew|report|tendJobs|openSession)\.\*$/.test(one));
  const isCovered = (field: string) => covered.some((one) => one.endsWith(".*") ? plain(field).startsWith(plain(one.slice(0, -1))) : plain(one) === plain(field));
  console.log(wireFields().filter((f) => !isCovered(f)).join("\n"));
  console.log("UNKNOWN", covered.filter((one) => !one.endsWith(".*") && !wireFields().some((f) => plain(f) === plain(one))));
  expect(1).toBe(1);
});
