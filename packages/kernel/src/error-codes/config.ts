import type { ErrorEntry } from "../errors.ts";

/** Errors of tidemark.yaml and its loader. */
export const configErrors = {
  "TM-CONFIG-DURATION": {
    meaning: "A text that should be a duration is none.",
    normal: false,
    retry: "never",
    hint: "Write a number with a unit: ms, s, m, h or d, such as 250ms, 5s or 24h.",
  },
} satisfies Record<string, ErrorEntry>;
