// What the answers of S3, and of what speaks it, mean to who uses the store.
import { TidemarkError, type ErrorCode } from "@tidemark/kernel/errors";
import { readAwsFault, type AwsFault, type AwsFaultKind } from "./aws-faults.ts";

const CODES: Readonly<Record<string, ErrorCode>> = {
  NoSuchKey: "TM-OBJECT-MISSING",
  NoSuchBucket: "TM-OBJECT-NO-STORE",
  PreconditionFailed: "TM-OBJECT-EXISTS",
  // Two conditional writes at once, or one and a delete: asked to be tried again.
  ConditionalRequestConflict: "TM-OBJECT-STORE-AWAY",
  OperationAborted: "TM-OBJECT-STORE-AWAY",
  QuotaExceeded: "TM-OBJECT-STORE-FULL",
  XMinioStorageFull: "TM-OBJECT-STORE-FULL",
  XMinioAdminBucketQuotaExceeded: "TM-OBJECT-STORE-FULL",
  EntityTooLarge: "TM-OBJECT-TOO-LARGE",
  ObjectLocked: "TM-OBJECT-LOCKED",
  PermanentRedirect: "TM-OBJECT-STORE-SETTINGS",
  TemporaryRedirect: "TM-OBJECT-STORE-SETTINGS",
  AuthorizationHeaderMalformed: "TM-OBJECT-STORE-SETTINGS",
  IllegalLocationConstraintException: "TM-OBJECT-STORE-SETTINGS",
  InvalidBucketName: "TM-OBJECT-STORE-SETTINGS",
  "KMS.NotFoundException": "TM-OBJECT-STORE-SETTINGS",
  "KMS.DisabledException": "TM-OBJECT-STORE-DENIED",
  // The answer of a completed upload was lost, and the SDK asked again: it may be complete.
  NoSuchUpload: "TM-OBJECT-STORE-AWAY",
};

const KINDS: Readonly<Record<AwsFaultKind, ErrorCode>> = {
  unreachable: "TM-OBJECT-STORE-AWAY",
  timeout: "TM-OBJECT-STORE-AWAY",
  "slow-down": "TM-OBJECT-STORE-AWAY",
  "server-fault": "TM-OBJECT-STORE-AWAY",
  denied: "TM-OBJECT-STORE-DENIED",
  certificate: "TM-OBJECT-STORE-SETTINGS",
  unsupported: "TM-OBJECT-UNSUPPORTED",
  other: "TM-OBJECT-STORE-FAULT",
};

/** By the status alone, where the error has no name that says more. */
const STATUSES: ReadonlyMap<number | undefined, ErrorCode> = new Map<number, ErrorCode>([
  [301, "TM-OBJECT-STORE-SETTINGS"],
  [307, "TM-OBJECT-STORE-SETTINGS"],
  [403, "TM-OBJECT-STORE-DENIED"],
  [412, "TM-OBJECT-EXISTS"],
  [507, "TM-OBJECT-STORE-FULL"],
]);

/** `error` as TM-OBJECT-*, with nothing in it that the SDK or the store put into theirs but a name and a cleaned message. */
export function s3Error(error: unknown, attempt: string): TidemarkError {
  if (error instanceof TidemarkError) return error;
  const fault = readAwsFault(error);
  return new TidemarkError(codeOf(fault), `could not ${attempt}: ${reasonOf(fault)}`, {
    cause: fault.cause,
    details: { reason: fault.kind, code: fault.code, status: fault.status },
  });
}

function codeOf(fault: AwsFault): ErrorCode {
  const named = CODES[fault.code];
  if (named !== undefined) return named;
  if (fault.kind !== "other") return KINDS[fault.kind];
  return STATUSES.get(fault.status) ?? "TM-OBJECT-STORE-FAULT";
}

function reasonOf(fault: AwsFault): string {
  return fault.status === undefined ? fault.code : `it answered ${fault.status} ${fault.code}`;
}
