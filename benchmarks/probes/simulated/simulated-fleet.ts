// Many simulated stores behind two ports, one for primaries and one for standbys, as a configuration takes copies at one port for one server. The database's name says which store, and which of its two servers, is meant.
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import type { AnswerTape } from "./answer-tape.ts";
import { describeTape, SimulatedSession, type SimulatedDatabase } from "./simulated-session.ts";
import { simulatedAnswers, SimulatedStore, type SimulatedRole } from "./simulated-store.ts";

/** The database that leads to a server of store number `store`, counted from 0. */
export function simulatedDatabase(store: number, role: SimulatedRole): string {
  return `${role}-${store}`;
}

/** Ports of 127.0.0.1. */
export type SimulatedPorts = Readonly<Record<SimulatedRole, number>>;

export class SimulatedFleet implements AsyncDisposable {
  readonly #servers: readonly Server[];
  readonly #sockets: Set<Socket>;

  private constructor(servers: readonly Server[], sockets: Set<Socket>) {
    this.#servers = servers;
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
    const accept = (socket: Socket): void => {
      sockets.add(socket);
      const write = (bytes: Buffer): void => void socket.write(bytes);
      const session = new SimulatedSession({ tape, database, write, end: () => socket.end() }, described);
      socket.on("data", (chunk: Buffer) => session.push(chunk));
      socket.on("error", () => socket.destroy());
      socket.on("close", () => sockets.delete(socket));
    };
    const servers = [createServer({ noDelay: true }, accept), createServer({ noDelay: true }, accept)] as const;
    for (const server of servers)
      await new Promise<void>((resolve) => server.listen({ host: "127.0.0.1", port: 0, backlog: 4_096 }, resolve));
    return new SimulatedFleet(servers, sockets);
  }

  get ports(): SimulatedPorts {
    const [primary, standby] = this.#servers.map((server) => (server.address() as AddressInfo).port) as [number, number];
    return { primary, standby };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    for (const server of this.#servers) await new Promise((resolve) => server.close(resolve));
  }
}
