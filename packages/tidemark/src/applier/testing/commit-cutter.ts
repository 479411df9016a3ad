// A TCP proxy before PostgreSQL that cuts a connection right before or right behind a COMMIT, as a crash would.
import { createServer, connect, type AddressInfo, type Server, type Socket } from "node:net";

export type Cut = "before" | "behind";

/** Reads the client's messages far enough to know which Bind executes a COMMIT. */
class CommitFinder {
  #buffer = Buffer.alloc(0);
  #started = false;
  readonly #commits = new Set<string>();

  /** Takes client bytes; answers how many of them stand before a COMMIT's Bind, or undefined if there is none. */
  take(bytes: Buffer): number | undefined {
    const seen = this.#buffer.length;
    this.#buffer = Buffer.concat([this.#buffer, bytes]);
    let offset = 0;
    for (;;) {
      const header = this.#started ? 5 : 4;
      if (this.#buffer.length - offset < header) break;
      const length = this.#buffer.readInt32BE(offset + header - 4) + header - 4;
      if (this.#buffer.length - offset < length) break;
      const message = this.#buffer.subarray(offset, offset + length);
      if (!this.#started) this.#started = true;
      else if (this.#isCommit(message)) return Math.max(0, offset - seen);
      offset += length;
    }
    this.#buffer = this.#buffer.subarray(offset);
    return undefined;
  }

  #isCommit(message: Buffer): boolean {
    const type = String.fromCharCode(message[0] ?? 0);
    const texts = message.subarray(5).toString("latin1").split("\0");
    if (type === "P") {
      if (/^commit$/i.test(texts[1]?.trim() ?? "")) this.#commits.add(texts[0] ?? "");
      else this.#commits.delete(texts[0] ?? "");
      return false;
    }
    return (type === "B" && this.#commits.has(texts[1] ?? "")) || (type === "Q" && /^commit$/i.test(texts[0] ?? ""));
  }
}

export class CommitCutter implements AsyncDisposable {
  readonly host = "127.0.0.1";
  readonly port: number;
  /** The next COMMIT of any connection is cut so; then `undefined` again. */
  next: Cut | undefined;
  cuts = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  static async before(target: { host: string; port: number }): Promise<CommitCutter> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const cutter = new CommitCutter(server);
    server.on("connection", (client) => cutter.#pass(client, target));
    return cutter;
  }

  #pass(client: Socket, target: { host: string; port: number }): void {
    const upstream = connect(target.port, target.host);
    const finder = new CommitFinder();
    let swallowing = false;
    for (const socket of [client, upstream]) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => undefined);
      socket.on("close", () => this.#sockets.delete(socket));
    }
    client.on("data", (bytes) => {
      const found = finder.take(bytes);
      if (found === undefined || this.next === undefined || swallowing) {
        upstream.write(bytes);
        return;
      }
      const cut = this.next;
      this.next = undefined;
      this.cuts++;
      if (cut === "before") {
        // The server does everything but the COMMIT, and rolls back when it sees the end.
        client.destroy();
        upstream.end(bytes.subarray(0, found));
        return;
      }
      swallowing = true;
      upstream.write(bytes);
      client.destroy();
    });
    upstream.on("data", (bytes) => {
      if (!swallowing) client.write(bytes);
    });
    upstream.on("close", () => client.destroy());
    client.on("close", () => {
      // The server finishes what it was sent, and then sees the end.
      upstream.end();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
