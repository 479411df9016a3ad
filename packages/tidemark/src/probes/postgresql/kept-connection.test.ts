import type { AddressInfo, Socket } from "node:net";
import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { sleep } from "@tidemark/kernel/clock";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { startOtherService } from "../testing/other-service.ts";
import { KeptConnection } from "./kept-connection.ts";

const SETTINGS = { applicationName: "test", readOnly: true, statementTimeoutMs: 1_000 };

function connectionTo(port: number): KeptConnection {
  return new KeptConnection({ host: "127.0.0.1", port, user: "u", database: "d", tls: "disable" }, SETTINGS);
}

/** Accepts, and does nothing more: it does not read, so that it does not notice either that the other side has gone. */
async function startHangingServer(): Promise<AsyncDisposable & { readonly port: number; readonly accepted: number }> {
  const sockets: Socket[] = [];
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
    sockets.push(socket);
    socket.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    get accepted() {
      return sockets.length;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const socketsOfThisProcess = (): number => process.getActiveResourcesInfo().filter((kind) => kind === "TCPSocketWrap").length;

describe("a kept connection", () => {
  it("leaves no socket behind when it gives up a server that hangs", async () => {
    await using server = await startHangingServer();
    const before = socketsOfThisProcess();
    const connection = connectionTo(server.port);
    for (let turn = 1; turn <= 3; turn++) {
      await expect(connection.ask("select 1", [], AbortSignal.timeout(50))).rejects.toMatchObject({ code: "TM-PROBE-SLOW" });
      expect(server.accepted).toBe(turn);
    }
    await sleep(systemClock, 20);
    // What is left are the server's own ends.
    expect(socketsOfThisProcess() - before).toBe(server.accepted);
    connection.close();
  });

  it("says at once that what answers is not PostgreSQL", async () => {
    await using other = await startOtherService();
    const connection = connectionTo(other.port);
    const beganMs = systemClock.monotonicMs();
    await expect(connection.ask("select 1", [], AbortSignal.timeout(10_000))).rejects.toMatchObject({ code: "TM-PROBE-GARBAGE" });
    expect(systemClock.monotonicMs() - beganMs).toBeLessThan(5_000);
    connection.close();
  });

  it("does not connect again and again to a server that ends each connection during the login", async () => {
    let accepted = 0;
    const server = createServer((socket) => {
      accepted++;
      socket.once("data", () => socket.end());
      socket.on("error", () => undefined);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const connection = connectionTo((server.address() as AddressInfo).port);
    await expect(connection.ask("select 1", [], AbortSignal.timeout(2_000))).rejects.toMatchObject({ code: "TM-PROBE-AWAY" });
    connection.close();
    expect(accepted).toBe(1);
    await new Promise((resolve) => server.close(resolve));
  });
});
