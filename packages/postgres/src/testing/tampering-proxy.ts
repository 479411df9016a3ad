import type { AddressInfo, Socket } from "node:net";
import { connect, createServer } from "node:net";

/** A TCP proxy on a free port that passes everything on and may change or cut what the server sends. */
export interface TamperingProxy extends AsyncDisposable {
  readonly port: number;
  /** Bytes that came from the server so far, over all connections. */
  readonly serverBytes: number;
  /** Connections of clients that are open now. */
  readonly open: number;
  /** Resolves once the byte after `afterBytes` has come, whatever was done then. */
  readonly reached: Promise<void>;
}

/** What to do once `afterBytes` came from the server: flip one bit, close both sides, or pass nothing on any more. */
export interface Tampering {
  readonly afterBytes: number;
  readonly how: "flip" | "cut" | "hold" | "pass";
}

export async function startTamperingProxy(to: { host: string; port: number }, tampering: Tampering): Promise<TamperingProxy> {
  const sockets = new Set<Socket>();
  let serverBytes = 0;
  let open = 0;
  let reach = (): void => undefined;
  const reached = new Promise<void>((resolve) => (reach = resolve));
  const proxy = createServer((client) => {
    open++;
    client.once("close", () => open--);
    const server = connect(to.port, to.host);
    for (const socket of [client, server]) {
      sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => {
        client.destroy();
        server.destroy();
      });
    }
    client.pipe(server);
    server.on("data", (chunk: Buffer) => {
      const offset = tampering.afterBytes - serverBytes;
      serverBytes += chunk.length;
      if (serverBytes > tampering.afterBytes) reach();
      if (tampering.how === "hold" && serverBytes > tampering.afterBytes) return;
      if (tampering.how !== "pass" && offset >= 0 && offset < chunk.length) {
        if (tampering.how === "cut") {
          client.destroy();
          return;
        }
        chunk.writeUInt8(chunk.readUInt8(offset) ^ 1, offset);
      }
      if (!client.write(chunk)) {
        server.pause();
        client.once("drain", () => server.resume());
      }
    });
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  return {
    port: (proxy.address() as AddressInfo).port,
    get serverBytes() {
      return serverBytes;
    },
    get open() {
      return open;
    },
    reached,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => proxy.close(resolve));
    },
  };
}
