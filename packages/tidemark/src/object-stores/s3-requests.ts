// One request to S3: with a time by which it has ended in any case, and its errors translated. The SDK tries again what
// failed, a bounded number of times; longer patience is the caller's.
import { S3Client, type S3ClientConfig } from "@aws-sdk/client-s3";
import type { Timer } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import { awsCredentials } from "./aws-credentials.ts";
import { endpointProblem } from "./aws-endpoint.ts";
import { CONNECT_TIMEOUT_MS, IDLE_TIMEOUT_MS, REQUEST_ATTEMPTS, REQUEST_TIMEOUT_MS, type S3StoreOptions } from "./object-store-options.ts";
import type { ObjectStoreWorld } from "./object-store-world.ts";
import { s3Error } from "./s3-errors.ts";

/** Connections to one store, at most; more requests wait for one. */
const MAX_CONNECTIONS = 16;

/** For the SDK's pauses between its attempts, for each of them, in milliseconds. */
const PAUSE_MS = 2_000;

/** What the SDK says to a log is cut to so many characters. */
const MAX_LOG_LENGTH = 300;

/** A timer is not set anew for each piece of a body, in milliseconds. */
const MOVING_EVERY_MS = 100;

export class S3Requests {
  readonly client: S3Client;
  readonly #world: ObjectStoreWorld;
  readonly #budgetMs: number;

  /** Throws TM-OBJECT-STORE-SETTINGS. Connects to nothing yet. */
  constructor(options: S3StoreOptions, world: ObjectStoreWorld) {
    const attempts = options.attempts ?? REQUEST_ATTEMPTS;
    const timeoutMs = options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS;
    this.#world = world;
    this.#budgetMs = attempts * (timeoutMs + PAUSE_MS);
    this.client = new S3Client(clientConfig(options, world, { attempts, timeoutMs }));
  }

  /**
   * Runs `work` with a signal that aborts with the caller's, or when its time is over (TM-OBJECT-STORE-AWAY). Its time begins
   * anew when it says `moving`: a large body takes as long as it takes.
   */
  async run<T>(
    attempt: string,
    signal: AbortSignal | undefined,
    work: (signal: AbortSignal, moving: () => void) => Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted();
    const ending = new AbortController();
    const late = new TidemarkError("TM-OBJECT-STORE-AWAY", `could not ${attempt}: not done after ${this.#budgetMs} ms`, {
      details: { reason: "timeout" },
    });
    const { clock } = this.#world;
    const arm = (): Timer => clock.setTimer(this.#budgetMs, () => ending.abort(late), { keepAlive: false });
    let timer = arm();
    let armedMs = clock.monotonicMs();
    const moving = (): void => {
      if (clock.monotonicMs() - armedMs < MOVING_EVERY_MS) return;
      timer.clear();
      timer = arm();
      armedMs = clock.monotonicMs();
    };
    const onAbort = (): void => ending.abort(signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      return await work(ending.signal, moving);
    } catch (error) {
      if (ending.signal.aborted) throw ending.signal.reason;
      throw s3Error(error, attempt);
    } finally {
      timer.clear();
      signal?.removeEventListener("abort", onAbort);
    }
  }
}

function clientConfig(options: S3StoreOptions, world: ObjectStoreWorld, limits: { attempts: number; timeoutMs: number }): S3ClientConfig {
  const refuse = (why: string, cause?: unknown): TidemarkError =>
    new TidemarkError("TM-OBJECT-STORE-SETTINGS", `could not use the bucket ${options.bucket}: ${why}`, { cause });
  const problem = options.endpoint === undefined ? undefined : endpointProblem(options.endpoint);
  if (problem !== undefined) throw refuse(`its endpoint is wrong: ${problem}`);
  return {
    region: options.region,
    ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
    forcePathStyle: options.pathStyle ?? options.endpoint !== undefined,
    ...(options.credentials === undefined
      ? {}
      : { credentials: awsCredentials(options.credentials, { clock: world.clock, environment: world.environment, refuse }) }),
    maxAttempts: limits.attempts,
    retryMode: "standard",
    // Not every store speaks the checksums that newer SDKs add by default. The signature covers the body's SHA-256 in any case.
    requestChecksumCalculation: options.checksums === "always" ? "WHEN_SUPPORTED" : "WHEN_REQUIRED",
    responseChecksumValidation: options.checksums === "always" ? "WHEN_SUPPORTED" : "WHEN_REQUIRED",
    // A store that does not answer `Expect: 100-continue` would cost seconds for each object.
    expectContinueHeader: false,
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      requestTimeout: limits.timeoutMs,
      throwOnRequestTimeout: true,
      // Its own words go to the console otherwise.
      logger: {
        trace: () => undefined,
        debug: () => undefined,
        info: () => undefined,
        warn: (...words: unknown[]) => world.logger.warn({ sdk: words.join(" ").slice(0, MAX_LOG_LENGTH) }, "the AWS SDK warns"),
        error: (...words: unknown[]) =>
          world.logger.error({ sdk: words.join(" ").slice(0, MAX_LOG_LENGTH) }, "the AWS SDK reports an error"),
      },
      socketTimeout: Math.min(limits.timeoutMs, IDLE_TIMEOUT_MS),
      httpAgent: { keepAlive: true, maxSockets: MAX_CONNECTIONS },
      httpsAgent: { keepAlive: true, maxSockets: MAX_CONNECTIONS },
    },
  };
}
