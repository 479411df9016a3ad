import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { silentLogger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { Redacted } from "@tidemark/kernel/redacted";
import { afterEach, describe, expect, it } from "vitest";
import type { PrimaryRoute } from "../../cluster/cluster-record.ts";
import { HttpPrimaryLocator } from "./http-primary-locator.ts";

const route = (revision: number, epoch: number): PrimaryRoute =>
  ({
    store: "s",
    revision,
    epoch,
    node: `n${epoch}`,
    host: "127.0.0.1",
    port: 1,
    timeline: epoch,
    systemIdentifier: "1",
    state: "open",
    guarantee: "synchronous",
    demanded: [],
  }) as unknown as PrimaryRoute;

describe("following the route", () => {
  const servers: Server[] = [];
  const stop = new AbortController();
  afterEach(async () => {
    stop.abort(new Error("the test is over"));
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });
  const serve = async (
    answer: (url: string, response: ServerResponse, token: string | undefined) => void,
  ): Promise<{ server: Server; address: { host: string; port: number } }> => {
    const server = createServer((request, response) => answer(request.url ?? "", response, request.headers.authorization));
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return { server, address: { host: "127.0.0.1", port: (server.address() as AddressInfo).port } };
  };
  const json = (response: ServerResponse, body: unknown): void =>
    void response.setHeader("content-type", "application/json").end(JSON.stringify(body));

  it("takes control's answers as they come, asks the agents while control is away, and never goes back", async () => {
    const held: ServerResponse[] = [];
    const tokens: (string | undefined)[] = [];
    const control = await serve((url, response, token) => {
      tokens.push(token);
      if (url.includes("after=")) held.push(response);
      else json(response, route(1, 1));
    });
    let agentRoute = route(1, 1);
    const agent = await serve((_, response) => json(response, agentRoute));
    const locator = new HttpPrimaryLocator({
      store: "s",
      control: control.address,
      agents: [agent.address],
      token: new Redacted("secret"),
      clock: systemClock,
      logger: silentLogger,
    });
    const epochs: number[] = [];
    locator.onChange((newer) => epochs.push(newer.epoch));
    const running = locator.run(stop.signal);
    await expect.poll(() => held.length, { interval: 5 }).toBe(1);
    expect(locator.current?.epoch).toBe(1);
    json(held[0] as ServerResponse, route(2, 2));
    await expect.poll(() => epochs, { interval: 5 }).toEqual([1, 2]);
    // Control dies; an agent that lags says nothing new, then it has heard of the next reign.
    control.server.closeAllConnections();
    await new Promise((resolve) => control.server.close(resolve));
    agentRoute = route(5, 3);
    await expect.poll(() => epochs, { interval: 5, timeout: 5_000 }).toEqual([1, 2, 3]);
    agentRoute = route(4, 2);
    await new Promise((resolve) => setTimeout(resolve, 300)); // some rounds, which must change nothing
    expect(locator.current?.revision).toBe(5);
    expect(new Set(tokens)).toEqual(new Set(["Bearer secret"]));
    stop.abort(new Error("the test is over"));
    await running;
  });
});
