import { Spec } from "@towpath/contract";
import { Failure } from "../failure.ts";

/** The spec in a signed text. Its signature is not verified. @throws Failure `invalid-spec`. */
export function decodeSpec(jws: string): Spec {
  try {
    return Spec.parse(JSON.parse(Buffer.from(jws.split(".")[1] ?? "", "base64url").toString()));
  } catch (cause) {
    throw new Failure("The signed spec cannot be read by this release.", {
      exit: "configuration",
      code: "invalid-spec",
      next: ["use a CLI of the release that deployed it"],
      cause,
    });
  }
}
