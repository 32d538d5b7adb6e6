import { z } from "zod";

/** A path in the code: relative, with `/`, without `..`. */
export const CodePath = z
  .string()
  .max(512)
  .refine(
    (path) => path !== "" && !path.startsWith("/") && !path.includes("\\") && !path.includes("\0"),
    "a relative path with /",
  )
  .refine((path) => !path.split("/").includes(".."), "must stay inside the code");
