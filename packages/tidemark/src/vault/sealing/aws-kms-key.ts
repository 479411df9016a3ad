// AWS KMS and what speaks its protocol: the key never leaves the service. GenerateDataKey makes a data key and wraps it,
// Decrypt unwraps it; both take the encryption context, so a data key opens the object that it was made for only.
import { DecryptCommand, GenerateDataKeyCommand, KMSClient } from "@aws-sdk/client-kms";
import { TidemarkError, type ErrorCode } from "@tidemark/kernel/errors";
import { Redacted } from "@tidemark/kernel/redacted";
import { awsCredentials } from "../../object-stores/aws-credentials.ts";
import { endpointProblem } from "../../object-stores/aws-endpoint.ts";
import { readAwsFault, type AwsFault, type AwsFaultKind } from "../../object-stores/aws-faults.ts";
import type { AwsKmsKeyOptions } from "./key-options.ts";
import { KEY_BYTES, MAX_WRAPPED_KEY_BYTES, type DataKey, type KeyContext, type KeyProvider } from "./key-provider.ts";
import type { KeyWorld } from "./open-key-ring.ts";

const CONNECT_TIMEOUT_MS = 3_000;
const REQUEST_TIMEOUT_MS = 5_000;
const ATTEMPTS = 3;

/** All attempts of one request together, with the SDK's pauses, in milliseconds. */
const BUDGET_MS = ATTEMPTS * (REQUEST_TIMEOUT_MS + 2_000);

/** What the service says about the key itself. Everything else is by the kind of fault. */
const CODES: Readonly<Record<string, ErrorCode>> = {
  IncorrectKeyException: "TM-SEAL-KEY-WRONG",
  InvalidCiphertextException: "TM-SEAL-KEY-WRONG",
  InvalidKeyUsageException: "TM-SEAL-KEY-WRONG",
  NotFoundException: "TM-SEAL-KMS-DENIED",
  DisabledException: "TM-SEAL-KMS-DENIED",
  KMSInvalidStateException: "TM-SEAL-KMS-DENIED",
  InvalidGrantTokenException: "TM-SEAL-KMS-DENIED",
  DependencyTimeoutException: "TM-SEAL-KMS-AWAY",
  KeyUnavailableException: "TM-SEAL-KMS-AWAY",
};

const KINDS: Readonly<Record<AwsFaultKind, ErrorCode>> = {
  unreachable: "TM-SEAL-KMS-AWAY",
  timeout: "TM-SEAL-KMS-AWAY",
  "slow-down": "TM-SEAL-KMS-AWAY",
  "server-fault": "TM-SEAL-KMS-AWAY",
  denied: "TM-SEAL-KMS-DENIED",
  certificate: "TM-SEAL-KEY-SOURCE",
  unsupported: "TM-SEAL-KEY-SOURCE",
  other: "TM-SEAL-KMS-AWAY",
};

/** A key of AWS KMS. Data keys are 32 bytes; what it sends and gets is never logged. */
export class AwsKmsKey implements KeyProvider {
  readonly keyId: string;
  readonly #kmsKeyId: string;
  readonly #client: KMSClient;
  readonly #world: KeyWorld;

  /** Connects to nothing yet. Throws TM-SEAL-KEY-SOURCE when the settings are wrong. */
  constructor(options: AwsKmsKeyOptions, world: KeyWorld) {
    const refuse = (why: string, cause?: unknown): TidemarkError =>
      new TidemarkError("TM-SEAL-KEY-SOURCE", `could not use the key ${options.keyId} of AWS KMS: ${why}`, { cause });
    if (!/^[A-Za-z0-9:/_-]{1,2000}$/.test(options.keyId)) throw refuse("this is no key id");
    if (/(^|:)alias\//.test(options.keyId)) throw refuse("an alias can come to mean another key; give the key's id or ARN");
    const problem = options.endpoint === undefined ? undefined : endpointProblem(options.endpoint);
    if (problem !== undefined) throw refuse(`its endpoint is wrong: ${problem}`);
    this.keyId = `aws-kms:${options.keyId}`;
    this.#kmsKeyId = options.keyId;
    this.#world = world;
    this.#client = new KMSClient({
      region: options.region,
      ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
      ...(options.credentials === undefined
        ? {}
        : { credentials: awsCredentials(options.credentials, { clock: world.clock, environment: world.environment, refuse }) }),
      maxAttempts: ATTEMPTS,
      retryMode: "standard",
      requestHandler: { connectionTimeout: CONNECT_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS, throwOnRequestTimeout: true },
    });
  }

  newDataKey(context: KeyContext, signal?: AbortSignal): Promise<DataKey> {
    return this.#ask("make a data key", signal, async (abortSignal) => {
      const command = new GenerateDataKeyCommand({ KeyId: this.#kmsKeyId, KeySpec: "AES_256", EncryptionContext: { ...context } });
      const { Plaintext, CiphertextBlob } = await this.#client.send(command, { abortSignal });
      const plain = this.#keyOf(Plaintext);
      if (CiphertextBlob === undefined || CiphertextBlob.length === 0 || CiphertextBlob.length > MAX_WRAPPED_KEY_BYTES)
        throw new TidemarkError("TM-SEAL-KMS-AWAY", `the key ${this.keyId} gave a data key that is not wrapped as one`);
      return { plain, wrapped: CiphertextBlob };
    });
  }

  unwrap(wrapped: Uint8Array, context: KeyContext, signal?: AbortSignal): Promise<Redacted<Uint8Array>> {
    return this.#ask("unwrap a data key", signal, async (abortSignal) => {
      // With the key's id: without it the service would unwrap with any key that this user may use.
      const command = new DecryptCommand({ KeyId: this.#kmsKeyId, CiphertextBlob: wrapped, EncryptionContext: { ...context } });
      const { Plaintext } = await this.#client.send(command, { abortSignal });
      return this.#keyOf(Plaintext);
    });
  }

  close(): void {
    this.#client.destroy();
  }

  #keyOf(plaintext: Uint8Array | undefined): Redacted<Uint8Array> {
    if (plaintext === undefined || plaintext.length !== KEY_BYTES)
      throw new TidemarkError("TM-SEAL-KMS-AWAY", `the key ${this.keyId} gave a data key that is none`);
    return new Redacted(plaintext);
  }

  async #ask<T>(what: string, signal: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    signal?.throwIfAborted();
    const attempt = `${what} with ${this.keyId}`;
    const ending = new AbortController();
    const late = new TidemarkError("TM-SEAL-KMS-AWAY", `could not ${attempt}: not done after ${BUDGET_MS} ms`);
    const timer = this.#world.clock.setTimer(BUDGET_MS, () => ending.abort(late), { keepAlive: false });
    const onAbort = (): void => ending.abort(signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      return await work(ending.signal);
    } catch (error) {
      if (ending.signal.aborted) throw ending.signal.reason;
      if (error instanceof TidemarkError) throw error;
      const fault = readAwsFault(error);
      const answer = fault.status === undefined ? fault.code : `it answered ${fault.status} ${fault.code}`;
      throw new TidemarkError(codeOf(fault), `could not ${attempt}: ${answer}`, {
        cause: fault.cause,
        details: { reason: fault.kind, code: fault.code, status: fault.status },
      });
    } finally {
      timer.clear();
      signal?.removeEventListener("abort", onAbort);
    }
  }
}

function codeOf(fault: AwsFault): ErrorCode {
  return CODES[fault.code] ?? KINDS[fault.kind];
}
