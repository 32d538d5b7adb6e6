import { createHmac, randomBytes } from "node:crypto";
import type { Notice, Notifier } from "@towpath/contract";

const SECRET_BYTES = 24;
const SECRET_PREFIX = "whsec_";

/** A new signing secret in the format of Standard Webhooks. */
export function newNotifierSecret(): string {
  return `${SECRET_PREFIX}${randomBytes(SECRET_BYTES).toString("base64")}`;
}

/** The signed parts: the delivery's id, the time and the body. */
export interface Signed {
  readonly id: string;
  /** Seconds since 1970. */
  readonly timestamp: number;
  readonly body: string;
}

/**
 * The signature of a delivery, `v1,` and base64 of an HMAC-SHA256.
 * @see https://github.com/standard-webhooks/standard-webhooks
 */
export function signatureOf(secret: string, { id, timestamp, body }: Signed): string {
  const key = Buffer.from(secret.slice(SECRET_PREFIX.length), "base64");
  return `v1,${createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64")}`;
}

/** Text with Slack's three special characters escaped. */
function plain(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

const HEADS: Readonly<Record<Notice["event"], string>> = {
  failure: "✗",
  late: "⏱",
  recovery: "✓",
  question: "?",
  test: "✓",
};

/** A notice as one sentence. */
function lineOf({ event, run, workspace, question }: Notice): string {
  if (run === null)
    return `${HEADS[event]} A test from workspace ${plain(workspace)}: notices about its runs arrive here.`;
  const link = `<${run.url}|run ${run.id.slice(-8)}>`;
  const who = `*${plain(run.deployment)}*${run.name === null ? "" : ` (${plain(run.name)})`}`;
  if (event === "question") {
    const title = plain(question?.title ?? "");
    const until = question?.deadlineAt ? ` (until ${question.deadlineAt})` : "";
    return `${HEADS[event]} ${who} asks: *${title}*${until} ${link}`;
  }
  const what: Record<"failure" | "late" | "recovery", string> = {
    failure: `${run.state}${run.cause === null ? "" : ` (${run.cause})`}`,
    late: `is late: it was due at ${run.scheduledAt} and is ${run.state}`,
    recovery: "works again",
  };
  return `${HEADS[event]} ${who} ${event === "test" ? "" : what[event]}: ${link}`;
}

interface LinkButton {
  readonly text: string;
  readonly url: string;
  readonly style?: "primary" | "danger";
}

/** The buttons of a question. Each opens the form in the dashboard, because an incoming webhook cannot receive answers. */
function buttonsOf({ url, approveUrl, rejectUrl }: NonNullable<Notice["question"]>): LinkButton[] {
  if (approveUrl === null || rejectUrl === null) return [{ text: "Answer", url, style: "primary" }];
  return [
    { text: "Approve", url: approveUrl, style: "primary" },
    { text: "Reject", url: rejectUrl, style: "danger" },
  ];
}

/**
 * A notice as a Slack message. A question has link buttons, which need no Slack app. `text` has the same links, for notifications
 * and for services with Slack's format that show no blocks.
 */
function slackOf(notice: Notice): object {
  const text = lineOf(notice);
  // A notice that an earlier release stored has no question.
  if (!notice.question) return { text };
  const buttons = buttonsOf(notice.question);
  const links = buttons.map((one) => `<${one.url}|${one.text}>`).join(" · ");
  const elements = buttons.map(({ text: label, ...button }) => ({
    type: "button",
    text: { type: "plain_text", text: label },
    ...button,
  }));
  return {
    text: `${text}: ${links}`,
    blocks: [
      { type: "section", text: { type: "mrkdwn", text } },
      { type: "actions", elements },
    ],
  };
}

/** The body of a delivery in the format of its receiver. */
export function bodyOf(kind: Notifier["kind"], notice: Notice): string {
  return JSON.stringify(kind === "slack" ? slackOf(notice) : notice);
}
