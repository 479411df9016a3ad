import type { AddressInfo, Socket } from "node:net";
import { createServer } from "node:net";

/** What answers at the port is something else: it speaks HTTP to whoever says anything. */
export async function startOtherService(): Promise<AsyncDisposable & { readonly port: number; readonly open: number }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => sockets.delete(socket));
    socket.once("data", () =>
      socket.write("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: keep-alive\r\n\r\nwhat?\r\n"),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    get open() {
      return sockets.size;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
