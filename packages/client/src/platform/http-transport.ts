import { Agent as HttpAgent, request as httpRequest, type ClientRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Transport, TransportAnswer, TransportRequest } from "../transport.ts";

/**
 * HTTP/1.1 with kept connections over node:http. The built-in fetch takes three times the processor time for a small
 * request (Node 24: 180 µs against 60 µs), and does not say whether a request that failed can have arrived.
 */
export class HttpTransport implements Transport {
  readonly #url: URL;
  readonly #agent: HttpAgent;
  readonly #request: typeof httpRequest;

  /** @param connections the most connections at a time; a request beyond them waits for one. */
  constructor(url: URL, options: { connections: number; ca?: string }) {
    this.#url = url;
    const agentOptions = { keepAlive: true, maxSockets: options.connections, scheduling: "lifo" as const, noDelay: true };
    const secure = url.protocol === "https:";
    this.#agent = secure
      ? new HttpsAgent({ ...agentOptions, ...(options.ca === undefined ? {} : { ca: options.ca }) })
      : new HttpAgent(agentOptions);
    this.#request = secure ? httpsRequest : httpRequest;
  }

  send(request: TransportRequest): Promise<TransportAnswer> {
    return new Promise((resolve) => {
      const outgoing = this.#open(request);
      let sent = false;
      let incoming: IncomingMessage | undefined;
      const chunks: Buffer[] = [];
      let settled = false;
      const settle = (answer: TransportAnswer): void => {
        if (settled) return;
        settled = true;
        clearTimeout(timer);
        request.signal?.removeEventListener("abort", giveUp);
        resolve(answer);
      };
      const breakOff = (cause: unknown): void => {
        const partial =
          incoming === undefined ? {} : { partial: { status: incoming.statusCode ?? 0, body: Buffer.concat(chunks).toString("utf8") } };
        settle({ kind: "broken", sent, cause, ...partial });
      };
      const giveUp = (): void => {
        outgoing.destroy(new Error("aborted"));
        breakOff(new Error("aborted"));
      };
      const timer = setTimeout(() => {
        const error = new Error(`no answer within ${request.timeoutMs} ms`);
        outgoing.destroy(error);
        breakOff(error);
      }, request.timeoutMs);
      if (request.signal?.aborted === true) {
        giveUp();
        return;
      }
      request.signal?.addEventListener("abort", giveUp, { once: true });
      // From the moment there is a connection, bytes may be on their way: only before it is it certain that nothing arrived.
      outgoing.once("socket", (socket) => {
        if (socket.connecting) socket.once("connect", () => (sent = true));
        else sent = true;
      });
      outgoing.once("error", breakOff);
      outgoing.once("response", (response) => {
        incoming = response;
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.once("error", breakOff);
        response.once("close", () => breakOff(new Error("the connection closed within the answer")));
        response.once("end", () => {
          if (!response.complete) return;
          const body = (chunks.length === 1 ? chunks[0] : Buffer.concat(chunks))?.toString("utf8") ?? "";
          settle({ kind: "answer", status: response.statusCode ?? 0, headers: plainHeaders(response), body });
        });
      });
      outgoing.end(request.body);
    });
  }

  #open(request: TransportRequest): ClientRequest {
    const length = request.body === undefined ? {} : { "content-length": String(request.body.length) };
    return this.#request({
      protocol: this.#url.protocol,
      hostname: this.#url.hostname.replace(/^\[|\]$/g, ""),
      port: this.#url.port,
      path: this.#url.pathname.replace(/\/$/, "") + request.path,
      method: request.method,
      headers: { ...request.headers, ...length },
      agent: this.#agent,
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

function plainHeaders(response: IncomingMessage): Record<string, string | undefined> {
  return response.headers as Record<string, string | undefined>;
}
