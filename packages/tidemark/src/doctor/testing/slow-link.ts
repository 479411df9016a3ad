import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { sleep } from "@tidemark/kernel/clock";
import { systemClock } from "@tidemark/kernel/platform/system-clock";

/** A TCP proxy that passes everything on later, in order, each way: a long line. */
export async function startSlowLink(port: number, oneWayMs: number): Promise<AsyncDisposable & { readonly port: number }> {
  const sockets = new Set<Socket>();
  const carry = (from: Socket, to: Socket): void => {
    let before = Promise.resolve();
    from.on("data", (chunk: Buffer) => {
      const due = sleep(systemClock, oneWayMs);
      before = before.then(async () => {
        await due;
        if (!to.destroyed) to.write(chunk);
      });
    });
  };
  const proxy = createServer((client) => {
    const server = connect(port, "127.0.0.1");
    for (const socket of [client, server]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => {
        client.destroy();
        server.destroy();
      });
    }
    carry(client, server);
    carry(server, client);
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
