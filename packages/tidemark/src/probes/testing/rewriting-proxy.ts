import type { AddressInfo, Socket } from "node:net";
import { connect, createServer } from "node:net";

/**
 * A TCP proxy that writes other bytes of the same length over those that the server sends: a server of another version. `times` pieces
 * that hold them, at most; default: all.
 */
export async function startRewritingProxy(
  port: number,
  change: { from: string; to: string; times?: number },
): Promise<AsyncDisposable & { readonly port: number }> {
  const sockets = new Set<Socket>();
  let left = change.times ?? Number.POSITIVE_INFINITY;
  const rewritten = (chunk: Buffer): Buffer => {
    const text = chunk.toString("latin1");
    if (left === 0 || !text.includes(change.from)) return chunk;
    left--;
    return Buffer.from(text.replaceAll(change.from, change.to), "latin1");
  };
  const proxy = createServer((client) => {
    const server = connect(port, "127.0.0.1");
    for (const socket of [client, server]) {
      sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => {
        client.destroy();
        server.destroy();
      });
    }
    client.pipe(server);
    server.on("data", (chunk: Buffer) => client.write(rewritten(chunk)));
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  return {
    port: (proxy.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => proxy.close(resolve));
    },
  };
}
