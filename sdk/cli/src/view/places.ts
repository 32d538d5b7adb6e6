/** The built dashboard. In the published package it stands beside the control plane. */
export const DASHBOARD: URL = new URL("../../../../services/dashboard/dist/", import.meta.url);
