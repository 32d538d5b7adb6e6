import { readFile } from "node:fs/promises";
import { describe, test } from "vitest";
import { GatewayFixture } from "../../sdk/flow/src/gateway/gateway.fixture.ts";
import { expectConformance } from "./conform.ts";
import { readVectors, VECTOR_ATTEMPT } from "./vector.ts";

describe("the gateway of the SDK's tests answers as the vectors say", () => {
  test.each(readVectors())("$file: $title", async (vector) => {
    await using gateway = await GatewayFixture.start();
    gateway.deployment = VECTOR_ATTEMPT.deployment;
    gateway.parameters = { ...VECTOR_ATTEMPT.parameters };
    gateway.secrets = { ...VECTOR_ATTEMPT.secrets };
    gateway.mayStart = VECTOR_ATTEMPT.mayStart;
    gateway.hashKeys = [Buffer.alloc(32, 1).toString("base64url")];
    const token = (await readFile(gateway.address.tokenFile, "utf8")).trim();
    await expectConformance(
      {
        socket: gateway.address.socket,
        names: new Map([[VECTOR_ATTEMPT.token, token]]),
        cancel: async () => gateway.cancel(VECTOR_ATTEMPT.cancelReason),
      },
      vector,
    );
  });
});
