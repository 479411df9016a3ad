// Stands in for a target over HTTP: answers what the test says, also wrongly, or not at all.
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export type StandInAnswer = (request: IncomingMessage, response: ServerResponse) => void;

export class HttpStandIn {
  readonly url: string;
  readonly #server: Server;
  answer: StandInAnswer;

  private constructor(server: Server, answer: StandInAnswer) {
    this.#server = server;
    this.answer = answer;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  static async start(answer: StandInAnswer = json({})): Promise<HttpStandIn> {
    let standIn: HttpStandIn | undefined;
    const server = createServer((request, response) => standIn?.answer(request, response));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    standIn = new HttpStandIn(server, answer);
    return standIn;
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }
}

export function json(body: unknown, status = 200): StandInAnswer {
  return (_request, response) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
  };
}
