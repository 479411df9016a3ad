/** The headers of `GET /wal/<name>`; `sha256` also of PUT. */
export const WAL_HEADER = {
  /** Decimal. */
  timeline: "tidemark-wal-timeline",
  /** Where the WAL in a segment ends; zeros follow. An LSN in PostgreSQL's form. */
  end: "tidemark-wal-end",
  /** `local`, `partial`, `pushed` or `archive:<store>`. */
  source: "tidemark-wal-source",
  /** `true`, or `false` for a segment that still grows. */
  complete: "tidemark-wal-complete",
  /** Of the body, hexadecimal. */
  sha256: "tidemark-wal-sha256",
} as const;
