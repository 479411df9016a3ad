// What an error of the AWS SDK says, without what it carries along: its responses hold request headers, and a store may
// send back what it was sent. Nothing of the SDK's own error goes into ours but name, status and a cleaned message.

/** The kinds of faults that the SDK's services have in common. */
export type AwsFaultKind = "unreachable" | "timeout" | "slow-down" | "server-fault" | "denied" | "certificate" | "unsupported" | "other";

export interface AwsFault {
  readonly kind: AwsFaultKind;
  /** The service's name of the error, such as `NoSuchKey`, or the system's, such as `ECONNREFUSED`. */
  readonly code: string;
  readonly status: number | undefined;
  /** For `cause`: name and message, cleaned. */
  readonly cause: Error;
}

const MAX_MESSAGE_LENGTH = 300;

/** Longer words of a message are identifiers, signatures or secrets; none of them helps. */
const LONGEST_WORD = 31;

/** The longest name of an error that S3 or KMS has is `ObjectLockConfigurationNotFoundError`; a token is longer than this. */
const LONGEST_NAME = 39;

const SYSTEM_FAULTS = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EHOSTDOWN",
  "EMFILE",
  "ENFILE",
  "EADDRNOTAVAIL",
]);
const SLOW_DOWN = new Set([
  "SlowDown",
  "SlowDownRead",
  "SlowDownWrite",
  "Throttling",
  "ThrottlingException",
  "TooManyRequestsException",
  "RequestLimitExceeded",
  "TooManyRequests",
]);
const DENIED = new Set([
  "AccessDenied",
  "AccessDeniedException",
  "AllAccessDisabled",
  "AccountProblem",
  "Forbidden",
  "InvalidAccessKeyId",
  "InvalidSecurity",
  "InvalidSignatureException",
  "InvalidClientTokenId",
  "InvalidToken",
  "ExpiredToken",
  "ExpiredTokenException",
  "IncompleteSignature",
  "MissingAuthenticationTokenException",
  "NotSignedUp",
  "RequestTimeTooSkewed",
  "SignatureDoesNotMatch",
  "UnrecognizedClientException",
  "CredentialsProviderError",
  "TokenProviderError",
]);

/** Reads `error`, which the SDK rejected with. */
export function readAwsFault(error: unknown): AwsFault {
  const given = (error ?? {}) as {
    name?: unknown;
    message?: unknown;
    code?: unknown;
    $metadata?: { httpStatusCode?: unknown };
    $response?: { statusCode?: unknown };
  };
  const status = [given.$metadata?.httpStatusCode, given.$response?.statusCode].find((value) => typeof value === "number");
  const system = typeof given.code === "string" ? given.code : undefined;
  const code = clean(
    system !== undefined && status === undefined ? system : typeof given.name === "string" ? given.name : "Error",
    LONGEST_NAME,
  );
  const message = typeof given.message === "string" ? given.message : "";
  const cause = new Error(`${code}${status === undefined ? "" : ` (${status})`}: ${clean(message, LONGEST_WORD)}`);
  return { kind: kindOf(code, status, message), code, status, cause };
}

function kindOf(code: string, status: number | undefined, message: string): AwsFaultKind {
  if (SLOW_DOWN.has(code) || status === 429) return "slow-down";
  if (DENIED.has(code) || (status === 401 && code !== "NotImplemented")) return "denied";
  if (status === undefined) {
    if (SYSTEM_FAULTS.has(code) || /socket hang up|aborted|premature close/i.test(message)) return "unreachable";
    if (code === "TimeoutError" || code === "ETIMEDOUT" || code === "ESOCKETTIMEDOUT") return "timeout";
    if (/CERT|SELF_SIGNED|UNABLE_TO_|ERR_TLS|ERR_SSL|EPROTO/.test(code)) return "certificate";
    return "other";
  }
  if (status === 501 || code === "NotImplemented") return "unsupported";
  if (status === 503) return "slow-down";
  if (status === 408 || code === "RequestTimeout") return "timeout";
  if (status === 507) return "other";
  return status >= 500 ? "server-fault" : "other";
}

/** One line, short, without words that could be a secret. */
function clean(text: string, longest: number): string {
  return text
    .replaceAll(/[^\x20-\x7e]+/g, " ")
    .replaceAll(/[^\s"'<>(),;:]+/g, (word) => (word.length > longest ? "[…]" : word))
    .slice(0, MAX_MESSAGE_LENGTH);
}
