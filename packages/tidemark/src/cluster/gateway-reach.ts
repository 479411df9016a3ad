// How the other roles and the CLI reach the gateway of a configuration: its address, and over HTTPS the trust in the one certificate that the
// configuration names.
import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { Readable } from "node:stream";
import type { ReadableStream } from "node:stream/web";
import { formatAddress, type ListenAddress } from "../config/listen-address.ts";

/** The `gateway` of a configuration. */
export interface GatewayAddress extends ListenAddress {
  readonly tls?: { readonly certFile: string };
}

/** What is asked of `fetch` here. */
export interface Asking {
  readonly method?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly redirect?: "manual" | "error";
  readonly signal: AbortSignal;
}

/** As the global `fetch`: resolves with any answer, rejects when there is none. */
export type Ask = (url: string, asking: Asking) => Promise<Response>;

export interface GatewayReach {
  /** Without a slash at its end. */
  readonly url: string;
  readonly ask: Ask;
}

/** Who answers is not the gateway of the configuration, or was started with another certificate. It was sent nothing. */
export class AnotherCertificate extends Error {
  constructor(options?: ErrorOptions) {
    super("it serves another certificate than gateway.tls names", options);
    this.name = "AnotherCertificate";
  }
}

/** What Node says of a certificate that the trusted one does not vouch for. */
const UNTRUSTED: ReadonlySet<string> = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);

export function reachGateway(gateway: GatewayAddress): GatewayReach {
  const { tls } = gateway;
  const url = `${tls === undefined ? "http" : "https"}://${formatAddress(gateway)}`;
  return { url, ask: tls === undefined ? (to, asking) => fetch(to, asking) : askTrusting(tls.certFile) };
}

/** Base URL of the gateway, as its clients on this machine reach it. */
export function gatewayUrl(gateway: GatewayAddress): string {
  return reachGateway(gateway).url;
}

/**
 * Trusts exactly the first certificate in the file, whatever name stands in it: the gateway is asked at the address that it listens on, which is
 * seldom that name. So another certificate of the same authority is not trusted either, although the file may hold that authority's as well.
 * `fetch` cannot be told so. The file is read each time: a certificate that was replaced counts from then on.
 */
function askTrusting(certFile: string): Ask {
  return async (url, { method = "GET", headers, body, signal }) => {
    const ca = await readFile(certFile);
    const expected = new X509Certificate(ca).fingerprint256;
    signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      const call = httpsRequest(url, {
        method,
        headers,
        signal,
        // A connection of its own: a kept session would not be compared again.
        agent: false,
        ca,
        allowPartialTrustChain: true,
        checkServerIdentity: (_host, { fingerprint256 }) => (fingerprint256 === expected ? undefined : new AnotherCertificate()),
      });
      call.once("response", (message) => {
        try {
          resolve(responseOf(message));
        } catch (error) {
          message.destroy();
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
      call.once("error", (error: NodeJS.ErrnoException) =>
        reject(UNTRUSTED.has(error.code ?? "") ? new AnotherCertificate({ cause: error }) : error),
      );
      call.end(body);
    });
  };
}

/** Statuses that come without a body, and that a Response refuses to be given one with. */
const BODILESS: ReadonlySet<number> = new Set([204, 205, 304]);

/** Throws a RangeError at a status that is none. */
function responseOf(message: IncomingMessage): Response {
  const { statusCode: status = 0 } = message;
  if (!BODILESS.has(status)) return new Response(Readable.toWeb(message) as ReadableStream<Uint8Array>, { status });
  message.resume();
  return new Response(null, { status });
}
