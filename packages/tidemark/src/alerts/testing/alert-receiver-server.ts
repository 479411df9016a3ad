// Somebody who is told of alerts, for tests: keeps every request, and answers as the test wants.
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface ReceivedNotification {
  readonly id: string;
  readonly kind: "firing" | "resolved";
  readonly rule: string;
  readonly fingerprint: string;
  readonly startsAt: string;
  readonly endsAt?: string;
}

export class AlertReceiverServer {
  readonly requests: Received[] = [];
  /** How a request is answered; 200 by default. */
  answer: (response: ServerResponse, request: Received) => void = (response) => response.writeHead(200).end();
  readonly #server: Server;
  #waiting: (() => void)[] = [];

  private constructor() {
    this.#server = createServer((request, response) => {
      let body = "";
      request.setEncoding("utf8");
      request.on("data", (chunk: string) => (body += chunk));
      request.on("end", () => {
        const received = { path: request.url ?? "", headers: request.headers, body };
        this.requests.push(received);
        this.answer(response, received);
        const waiting = this.#waiting;
        this.#waiting = [];
        for (const wake of waiting) wake();
      });
    });
  }

  static async start(): Promise<AlertReceiverServer> {
    const made = new AlertReceiverServer();
    made.#server.listen(0, "127.0.0.1");
    await once(made.#server, "listening");
    return made;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** What Tidemark's webhooks brought, in order, with what came twice. */
  get notifications(): ReceivedNotification[] {
    return this.requests.flatMap(({ body }) => (JSON.parse(body) as { notifications: ReceivedNotification[] }).notifications);
  }

  /** Resolves when `holds` does, looked at after each request. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}
