/** How the client reaches the gateway. One implementation is `platform/http-transport.ts`. */
export interface Transport {
  /**
   * Sends one request and resolves with its whole answer. Never rejects: a broken connection is an answer of kind
   * `broken`, with what had arrived of the body. Requests may be in flight side by side.
   */
  send(request: TransportRequest): Promise<TransportAnswer>;
  /** Ends all connections; requests in flight come back as `broken`. */
  close(): void;
}

export interface TransportRequest {
  readonly method: "GET" | "POST";
  /** Path with query, below the client's url. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  /** Without a whole answer after this time the connection is given up. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

export type TransportAnswer =
  | {
      readonly kind: "answer";
      readonly status: number;
      readonly headers: Readonly<Record<string, string | undefined>>;
      readonly body: string;
    }
  | {
      readonly kind: "broken";
      /** Whether the gateway may have got the request. */
      readonly sent: boolean;
      readonly cause: unknown;
      /** Set when the answer had begun: its status and what arrived of its body. */
      readonly partial?: { readonly status: number; readonly body: string };
    };
