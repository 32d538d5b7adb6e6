import { createClient } from "@towpath/client";

/** The client of the control plane that served this page. It uses the session's cookie. */
export const client = createClient({ url: window.location.origin });
