import { PageQuery, page } from "../kernel/names.ts";
import { ByName, route } from "../kernel/routes.ts";
import { CreatedNotifier, CreateNotifier, Delivery, DeliveryQuery, Notifier } from "./notify.ts";

/** The routes of notify. */
export const NOTIFY_ROUTES = {
  createNotifier: route({
    method: "POST",
    path: "/api/notifiers",
    summary: "Makes a notifier: an address that is told of failures, late runs and recoveries.",
    slice: "notify",
    permission: "admin",
    body: CreateNotifier,
    answer: CreatedNotifier,
    status: 201,
    problems: ["notifier-exists", "notifier-refused", "deployment-not-found"],
  }),
  listNotifiers: route({
    method: "GET",
    path: "/api/notifiers",
    summary: "Notifiers by name, each with its latest delivery.",
    slice: "notify",
    permission: "read",
    query: PageQuery,
    answer: page(Notifier),
    status: 200,
    problems: [],
  }),
  deleteNotifier: route({
    method: "DELETE",
    path: "/api/notifiers/{name}",
    summary: "Deletes a notifier and what it was still to be told. Repeating it changes nothing.",
    slice: "notify",
    permission: "admin",
    params: ByName,
    answer: "none",
    status: 204,
    problems: [],
  }),
  testNotifier: route({
    method: "POST",
    path: "/api/notifiers/{name}/test",
    summary: "Sends a test at once, and answers what became of it.",
    slice: "notify",
    permission: "admin",
    params: ByName,
    answer: Delivery,
    status: 200,
    problems: ["notifier-not-found", "too-many-requests"],
  }),
  listDeliveries: route({
    method: "GET",
    path: "/api/deliveries",
    summary: "What notifiers were told, newest first, and what became of it.",
    slice: "notify",
    permission: "read",
    query: DeliveryQuery,
    answer: page(Delivery),
    status: 200,
    problems: ["notifier-not-found"],
  }),
} as const;
