import { expect, test } from "vitest";
import { passwordOf } from "./password-command.ts";
import { loginOf } from "./registry-login.ts";

const what = 'The password of the registry "code"';
const node = (script: string, timeoutMs?: number) => ({
  exec: { command: [process.execPath, "-e", script], ...(timeoutMs !== undefined && { timeoutMs }) },
});
const ask = (script: string, timeoutMs?: number) =>
  passwordOf(node(script, timeoutMs), { what, environment: process.env });

test("a password is what the command prints, without the last line ending", async () => {
  expect(await ask("console.log('pass word ')")).toBe("pass word ");
  expect(await ask("process.stdout.write('x\\ny')")).toBe("x\ny");
});

test("the login of a git registry may come from a command, which sees the environment", async () => {
  const password = node("console.log(process.env.HALF + '-other')");
  const registry = { kind: "git", name: "code", url: "https://git.internal/flows.git", password } as const;
  expect(await loginOf(registry, { ...process.env, HALF: "one" })).toEqual({
    username: "towpath",
    password: "one-other",
  });
});

test.each([
  ["process.exit(3)", undefined, "failed (3)"],
  ["", undefined, "printed nothing"],
  ["process.stdout.write('x'.repeat(100_000))", undefined, "printed more than 65536 bytes"],
  ["setInterval(() => {}, 1000)", 500, "did not end within 500 ms"],
])("a command that gives no password is named without its output: %s", async (script, timeoutMs, says) => {
  const failure = await ask(`console.error('hidden'); ${script}`, timeoutMs).catch(
    (thrown: unknown) => thrown,
  );
  expect(failure).toMatchObject({ code: "no-password", message: expect.stringContaining(says) });
  expect(String(failure)).not.toContain("hidden");
});

test("a missing program is named", async () => {
  const absent = passwordOf({ exec: { command: ["no-such-program"] } }, { what, environment: process.env });
  await expect(absent).rejects.toThrow(`${what} is missing: the command no-such-program failed (ENOENT)`);
});
