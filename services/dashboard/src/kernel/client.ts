import { createClient } from "@towpath/client";

/** Calls to the control plane that served this page, with the session's cookie. */
export const client = createClient({ url: window.location.origin });
