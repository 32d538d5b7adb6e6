const TICK_MS = 1_000;

/**
 * Progress at the terminal: one line when a step takes time, and one when it is done.
 * A terminal also shows the seconds of a running step. Elsewhere every line is printed once.
 */
export function createScreen({ out = process.stdout, now = () => performance.now() } = {}) {
  const live = out.isTTY === true;
  const paint = (code, text) => (live && !process.env.NO_COLOR ? `\x1b[${code}m${text}\x1b[0m` : text);
  const seconds = (since) => formatSeconds(now() - since);

  /** Runs one step and prints its outcome. An error passes through. */
  async function step(title, work) {
    const began = now();
    const show = () => out.write(`\r\x1b[2K  ${paint(36, "…")} ${title} ${paint(2, seconds(began))}`);
    if (live) show();
    else out.write(`  … ${title}\n`);
    const timer = live ? setInterval(show, TICK_MS) : undefined;
    const end = (mark, colour) => {
      clearInterval(timer);
      const clear = live ? "\r\x1b[2K" : "";
      out.write(`${clear}  ${paint(colour, mark)} ${title} ${paint(2, seconds(began))}\n`);
    };
    try {
      const result = await work();
      end("✓", 32);
      return result;
    } catch (error) {
      end("✗", 31);
      throw error;
    }
  }

  return {
    step,
    line: (text) => out.write(`${text}\n`),
    fail: (text) => process.stderr.write(`\n${paint(31, text)}\n`),
  };
}

/** Milliseconds as `0.4 s`, `12 s` or `3 min 5 s`. */
export function formatSeconds(ms) {
  if (ms < 9_950) return `${(ms / 1000).toFixed(1)} s`;
  const whole = Math.round(ms / 1000);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}
