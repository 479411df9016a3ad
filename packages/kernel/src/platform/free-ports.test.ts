import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { freePort, freePorts } from "./free-ports.ts";

describe("free ports", () => {
  it("differ, can be listened on, and are none that the kernel gives to outgoing connections", async () => {
    const ports = await freePorts(20);
    expect(new Set(ports).size).toBe(20);
    expect(Math.max(...ports)).toBeLessThan(32_768);
    for (const port of ports) {
      const server = createServer();
      await new Promise<void>((resolve, reject) => server.once("error", reject).listen(port, "127.0.0.1", resolve));
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it("are never one that somebody listens on", async () => {
    const [port] = await freePorts(1);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    const others = await Promise.all(Array.from({ length: 30 }, () => freePort()));
    await new Promise((resolve) => server.close(resolve));
    expect(others).not.toContain(port);
  });
});
