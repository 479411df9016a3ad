// A network link between a client and a server on this machine, to be broken on purpose: everything passes, nothing passes any more (both
// sides stay silent, as when a cable is cut), or only so much a second.
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

/** Of a slowed link, how often what is allowed is passed on, milliseconds. */
const TICK_MS = 10;

export type LinkState = "whole" | "cut" | { readonly bytesPerSecond: number };

interface Direction {
  readonly from: Socket;
  readonly to: Socket;
  /** What came while the link was slow. */
  readonly queue: Buffer[];
}

export class Link implements AsyncDisposable {
  readonly #server: Server;
  readonly #toPort: number;
  readonly #directions = new Set<Direction>();
  readonly #sockets = new Set<Socket>();
  #state: LinkState = "whole";
  #ticking: NodeJS.Timeout | undefined;

  private constructor(toPort: number) {
    this.#toPort = toPort;
    this.#server = createServer({ noDelay: true }, (client) => this.#accept(client));
  }

  static async start(toPort: number): Promise<Link> {
    const link = new Link(toPort);
    await new Promise<void>((resolve) => link.#server.listen(0, "127.0.0.1", resolve));
    return link;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** At once, for what is under way as well. What a cut or slow link held back passes when it is whole again. */
  set(state: LinkState): void {
    this.#state = state;
    clearInterval(this.#ticking);
    this.#ticking = typeof state === "object" ? setInterval(() => this.#passSome(state.bytesPerSecond), TICK_MS) : undefined;
    for (const direction of this.#directions) this.#apply(direction);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#ticking);
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(client: Socket): void {
    const server = connect({ port: this.#toPort, host: "127.0.0.1", noDelay: true });
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => {
        this.#sockets.delete(socket);
        client.destroy();
        server.destroy();
      });
    }
    for (const direction of [
      { from: client, to: server, queue: [] },
      { from: server, to: client, queue: [] },
    ]) {
      this.#directions.add(direction);
      direction.from.on("close", () => this.#directions.delete(direction));
      direction.from.on("data", (chunk: Buffer) => this.#onData(direction, chunk));
      this.#apply(direction);
    }
  }

  #onData(direction: Direction, chunk: Buffer): void {
    if (this.#state === "whole") direction.to.write(chunk);
    else {
      direction.queue.push(chunk);
      // The sender notices by its own full buffers, as on a real link.
      direction.from.pause();
    }
  }

  #apply(direction: Direction): void {
    if (this.#state === "cut") direction.from.pause();
    else if (this.#state === "whole") {
      for (const chunk of direction.queue.splice(0)) direction.to.write(chunk);
      direction.from.resume();
    } else if (direction.queue.length === 0) direction.from.resume();
  }

  #passSome(bytesPerSecond: number): void {
    for (const direction of this.#directions) {
      let allowed = Math.ceil((bytesPerSecond * TICK_MS) / 1_000);
      while (allowed > 0) {
        const first = direction.queue.shift();
        if (first === undefined) break;
        direction.to.write(first.subarray(0, allowed));
        if (first.length > allowed) direction.queue.unshift(first.subarray(allowed));
        allowed -= first.length;
      }
      if (direction.queue.length === 0) direction.from.resume();
    }
  }
}
