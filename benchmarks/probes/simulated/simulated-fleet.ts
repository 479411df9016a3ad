// Many simulated stores behind one port: the database's name says which store, and which of its two servers, is meant.
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import type { AnswerTape } from "./answer-tape.ts";
import { describeTape, SimulatedSession, type SimulatedDatabase } from "./simulated-session.ts";
import { simulatedAnswers, SimulatedStore, type SimulatedRole } from "./simulated-store.ts";

/** The database that leads to a server of store number `store`, counted from 0. */
export function simulatedDatabase(store: number, role: SimulatedRole): string {
  return `${role}-${store}`;
}

export class SimulatedFleet implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets: Set<Socket>;

  private constructor(server: Server, sockets: Set<Socket>) {
    this.#server = server;
    this.#sockets = sockets;
  }

  /** @param tape of a real primary and its standby. */
  static async start(tape: AnswerTape, stores: number): Promise<SimulatedFleet> {
    const answers = simulatedAnswers(tape);
    const described = describeTape(tape);
    const startMs = Date.now();
    const all = Array.from({ length: stores }, (_, index) => new SimulatedStore(answers, index, startMs));
    const database = (name: string): SimulatedDatabase | undefined => {
      const [, role, index] = /^(primary|standby)-(\d+)$/.exec(name) ?? [];
      const store = all[Number(index)];
      if (store === undefined) return undefined;
      return { answer: (sql) => store.answer(role as SimulatedRole, sql, Date.now()) };
    };
    const sockets = new Set<Socket>();
    const server = createServer({ noDelay: true }, (socket) => {
      sockets.add(socket);
      const write = (bytes: Buffer): void => void socket.write(bytes);
      const session = new SimulatedSession({ tape, database, write, end: () => socket.end() }, described);
      socket.on("data", (chunk: Buffer) => session.push(chunk));
      socket.on("error", () => socket.destroy());
      socket.on("close", () => sockets.delete(socket));
    });
    await new Promise<void>((resolve) => server.listen({ host: "127.0.0.1", port: 0, backlog: 4_096 }, resolve));
    return new SimulatedFleet(server, sockets);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
