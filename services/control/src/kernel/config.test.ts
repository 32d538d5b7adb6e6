import { expect, test } from "vitest";
import { ConfigError, parseConfig } from "./config.ts";

test("an empty environment is a complete configuration", () => {
  const config = parseConfig({ TOWPATH_PORT: "" });
  expect(config).toMatchObject({ databaseUrl: null, port: 4200, host: "127.0.0.1", bootstrap: false });
  expect(config.roles).toEqual(["api", "loops"]);
});

test("all faults are reported at once, by variable and without the value", () => {
  const env = {
    DATABASE_URL: "mysql://user:hunter2@host/db",
    TOWPATH_PORT: "seventy",
    TOWPATH_ROLES: "api,dance",
    TOWPATH_BOOTSTRAP: "yes",
    TOWPATH_PUBLIC_URL: "ftp://x",
  };
  const failure = (() => {
    try {
      parseConfig(env);
    } catch (error) {
      return error;
    }
  })();
  expect(failure).toBeInstanceOf(ConfigError);
  if (!(failure instanceof ConfigError)) return;
  for (const name of Object.keys(env)) expect(failure.message).toContain(name);
  expect(failure.message).not.toContain("hunter2");
});

test("limits and quotas are replaced and removed by name, and a misspelt name lists the valid ones", () => {
  const config = parseConfig({
    TOWPATH_RATE_LIMITS: "read.key=2.5, run.workspace=off",
    TOWPATH_QUOTAS: "off",
  });
  expect([...config.rates]).toEqual([
    ["read.key", 2.5],
    ["run.workspace", null],
  ]);
  expect([...config.quotas.values()].every((most) => most === null)).toBe(true);
  for (const wrong of ["read=5", "read.key=0", "read.key", "pools=5"])
    expect(() => parseConfig({ TOWPATH_RATE_LIMITS: wrong })).toThrow(
      /TOWPATH_RATE_LIMITS: .*worker\.worker/,
    );
  for (const wrong of ["proxy.example", "10.0.0.0/33", "10.0.0.0/8/8"])
    expect(() => parseConfig({ TOWPATH_TRUSTED_PROXIES: wrong })).toThrow(/TOWPATH_TRUSTED_PROXIES/);
});

test("a public address loses its trailing slash", () => {
  expect(parseConfig({ TOWPATH_PUBLIC_URL: "https://towpath.example/" }).publicUrl).toBe(
    "https://towpath.example",
  );
});
