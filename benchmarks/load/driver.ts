/**
 * What a load driver talks to. Plain data: it travels to the load process as JSON. The same order is written by every
 * driver, so that contenders differ in what they do with it and in nothing else.
 */
export type LoadTarget =
  | { readonly driver: "plain-http"; readonly url: string; readonly token: string }
  | { readonly driver: "applied"; readonly url: string; readonly token: string }
  /** `requests`: the client's limit of requests in flight, instead of its default. */
  | { readonly driver: "sdk"; readonly url: string; readonly token: string; readonly requests?: number }
  | { readonly driver: "ndjson"; readonly url: string; readonly token: string; readonly batch: number }
  | {
      readonly driver: "postgres";
      readonly host: string;
      readonly port: number;
      readonly user: string;
      readonly password: string;
      readonly database: string;
    }
  | { readonly driver: "amqp"; readonly url: string; readonly queue: string }
  | { readonly driver: "redis"; readonly host: string; readonly port: number; readonly stream: string };

/** What one load process is told to do. */
export interface LoadPlan {
  readonly target: LoadTarget;
  /** Writers that each have one request in flight and send the next when it is acknowledged. */
  readonly writers: number;
  /** Load before the measurement begins. */
  readonly warmupMs: number;
  readonly measureMs: number;
  /** Ends earlier when this many writes are acknowledged in the measurement. */
  readonly mostWrites?: number;
  /** Writes a second, evenly spread over the writers; without it each writer goes on at once. */
  readonly ratePerSecond?: number;
  /** First number of the orders, so that runs do not write the same ones. */
  readonly firstOrder: number;
}

/** One connected driver. `write` resolves when the contender has acknowledged; it rejects when it refused. */
export interface LoadDriver {
  /** Orders acknowledged by one `write`: 1, or the size of a batch. */
  readonly ordersPerWrite: number;
  /** @param writer index of the writer, from 0. @param first number of the first order to write. */
  write(writer: number, first: number): Promise<void>;
  close(): Promise<void>;
}

/** What a run measured. Latencies in milliseconds, of one `write` each. */
export interface LoadResult {
  readonly acknowledged: number;
  readonly refused: number;
  readonly seconds: number;
  readonly ratePerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly mostMs: number;
  /** Processor seconds that the load process itself used during the measurement. */
  readonly cpuSeconds: number;
  /** Message of the first refusal, if any. */
  readonly firstRefusal?: string;
}

/** The order number `n`: what is written everywhere. About 190 bytes as JSON. */
export interface Order {
  readonly order_id: string;
  readonly customer: string;
  readonly item: string;
  readonly quantity: number;
  readonly cents: number;
  readonly note: string;
}

const NOTE = "leave at the door; ring twice when nobody answers the first time";

export function orderNumber(n: number): Order {
  return {
    order_id: `00000000-0000-7000-8000-${n.toString(16).padStart(12, "0")}`,
    customer: `c${(n * 7919) % 100_003}`,
    item: `sku-${n % 977}`,
    quantity: 1 + (n % 5),
    cents: 100 + (n % 9_900),
    note: NOTE,
  };
}
