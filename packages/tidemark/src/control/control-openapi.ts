/** The head of the description of control's HTTP API for people and scripts; the routes add their schemas. What roles say to each other is not in it. */
export const CONTROL_OPENAPI = {
  openapi: "3.1.0",
  info: {
    title: "Tidemark control",
    version: "1",
    description:
      "What would be lost now, per service and scenario, over time, and the alerts about it. docs/exposure.md and docs/alerts.md tell the story.",
    license: { name: "Apache-2.0", identifier: "Apache-2.0" },
  },
  components: { securitySchemes: { bearer: { type: "http" as const, scheme: "bearer" } } },
  security: [{ bearer: [] }],
};
