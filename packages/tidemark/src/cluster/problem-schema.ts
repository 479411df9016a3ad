// How the roles' problems are described, for OpenAPI.

/** A response of every route that can refuse; `code` is one of the catalogue. */
export const PROBLEM = {
  description: "A problem (RFC 9457).",
  content: {
    "application/problem+json": {
      schema: {
        type: "object",
        required: ["type", "title", "status", "detail"],
        properties: {
          type: { type: "string" },
          title: { type: "string" },
          status: { type: "integer" },
          detail: { type: "string" },
          code: { type: "string" },
          hint: { type: "string" },
        },
      },
    },
  },
};
