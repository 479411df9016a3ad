// What a failed question says of its target: a code, and a sentence that a person may see.
import type { Redacted } from "@tidemark/kernel/redacted";

export type ProbeFaultCode =
  | "TM-PROBE-AWAY"
  | "TM-PROBE-SLOW"
  | "TM-PROBE-DENIED"
  | "TM-PROBE-VERSION"
  | "TM-PROBE-GARBAGE"
  | "TM-PROBE-FAILED";

/** A fault of the target; it ends in a reading, never at whoever runs the probes. */
export class ProbeFault extends Error {
  readonly code: ProbeFaultCode;

  constructor(code: ProbeFaultCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "ProbeFault";
    this.code = code;
  }
}

/** Of a message of the server, what is shown, characters. */
const MOST_MESSAGE = 200;

/** By SQLSTATE, or its first two characters. */
const BY_SQLSTATE: Readonly<Record<string, ProbeFaultCode>> = {
  "28": "TM-PROBE-DENIED",
  "42501": "TM-PROBE-DENIED",
  "3D000": "TM-PROBE-DENIED",
  "57014": "TM-PROBE-SLOW",
  "57": "TM-PROBE-AWAY",
  "53": "TM-PROBE-AWAY",
  "08": "TM-PROBE-AWAY",
};

const AWAY = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EHOSTUNREACH",
  "EHOSTDOWN",
  "ENETUNREACH",
  "ENETDOWN",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EPIPE",
  "ENOENT",
  "CONNECTION_CLOSED",
  "CONNECTION_ENDED",
  "CONNECTION_DESTROYED",
]);

/** Judges what the driver rejected with. `password` is taken out of any message, whoever put it there. */
export function faultOf(error: unknown, password: Redacted<string> | undefined): ProbeFault {
  if (error instanceof ProbeFault) return error;
  const { name, code, message } = error instanceof Error ? (error as NodeJS.ErrnoException) : { name: "", code: undefined, message: "" };
  if (name === "PostgresError" && code !== undefined) {
    const kind = BY_SQLSTATE[code] ?? BY_SQLSTATE[code.slice(0, 2)] ?? "TM-PROBE-FAILED";
    return new ProbeFault(kind, `PostgreSQL answered ${printable(code)}: ${printable(withoutSecret(message, password))}`, { cause: error });
  }
  if (code !== undefined && AWAY.has(code)) return new ProbeFault("TM-PROBE-AWAY", `no connection (${code})`, { cause: error });
  if (code === "CONNECT_TIMEOUT" || code === "ETIMEDOUT") return new ProbeFault("TM-PROBE-SLOW", "no connection in time", { cause: error });
  if (code !== undefined && /^(ERR_TLS|ERR_SSL|CERT_|UNABLE_TO|DEPTH_ZERO|SELF_SIGNED)/.test(code))
    return new ProbeFault("TM-PROBE-AWAY", `TLS failed (${code})`, { cause: error });
  return new ProbeFault(
    "TM-PROBE-GARBAGE",
    `what it answered is not PostgreSQL's protocol${code === undefined ? "" : ` (${printable(code)})`}`,
    {
      cause: error,
    },
  );
}

/** What the server's error says it is; undefined where it was none of a server. */
export function sqlState({ cause }: ProbeFault): string | undefined {
  return cause instanceof Error && cause.name === "PostgresError" ? (cause as NodeJS.ErrnoException).code : undefined;
}

function withoutSecret(text: string, password: Redacted<string> | undefined): string {
  const secret = password?.reveal() ?? "";
  return secret === "" ? text : text.replaceAll(secret, "[redacted]");
}

/** A server may say anything: control characters and length are kept from logs and screens. */
function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex
  const clean = text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, " ");
  return clean.length > MOST_MESSAGE ? `${clean.slice(0, MOST_MESSAGE)}…` : clean;
}
