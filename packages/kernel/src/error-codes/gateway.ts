import type { ErrorEntry } from "../errors.ts";

/** Errors of the gateway's HTTP API and acceptance. */
export const gatewayErrors = {
  "TM-GATEWAY-COMMAND-SQL": {
    meaning: "A statement of a command is not one that the applier may run: it is empty, unclosed, several in one, or changes more than rows.",
    normal: false,
    retry: "never",
    hint: "Write one INSERT, UPDATE, DELETE, MERGE, SELECT or WITH for each item of `statements`; the applier owns the transaction.",
  },
  "TM-GATEWAY-COMMAND-PARAMETER": {
    meaning: "A statement of a command uses a parameter that nothing gives a value to, or one with two meanings.",
    normal: false,
    retry: "never",
    hint: "Use :name for a property of the command's schema, or :id, :accepted_at, :key, which are frozen at acceptance.",
  },
  "TM-GATEWAY-COMMAND-VOLATILE": {
    meaning: "A statement of a command would give another result when it is applied again after a failover.",
    normal: false,
    retry: "never",
    hint: "Use :accepted_at for the time and :id for a new identifier, or set `volatile: true` on the command and accept that healing may give other values.",
  },
  "TM-GATEWAY-COMMAND-SCHEMA": {
    meaning: "The JSON Schema of a command's arguments is none, or uses what strict mode refuses.",
    normal: false,
    retry: "never",
    hint: "Write a JSON Schema of draft 2020-12 with `type: object` at the top.",
  },
} satisfies Record<string, ErrorEntry>;
