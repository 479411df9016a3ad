import { inspect } from "node:util";
import { TidemarkError } from "@tidemark/kernel/errors";
import { Redacted } from "@tidemark/kernel/redacted";
import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import { describe, expect, it } from "vitest";
import type { Probe, ProbeReading } from "../probes/probe.ts";
import { FollowingCanary } from "./following-canary.ts";
import { SecretProbe } from "./secret-probe.ts";
import { behind, copy, primary, store } from "../exposure/testing/sample-facts.ts";

const clock = new ManualClock();
const never = new AbortController().signal;
const WELL: ProbeReading = { ok: true, atMs: 1, roundTripMs: 1, copies: [], figures: {} };
const DENIED: ProbeReading = { ok: false, atMs: 1, code: "TM-PROBE-DENIED", why: "the password is wrong" };

/** Lets in who has the newest secret. */
function locked(secrets: string[]) {
  const state = { inForce: secrets[0] ?? "", made: 0, closed: 0 };
  const probe = new SecretProbe({
    name: "postgresql pg9",
    store: "db",
    clock,
    make: () => {
      const mine = new Redacted(secrets[0] ?? "");
      state.made++;
      const inner: Probe = {
        name: "inner",
        store: "db",
        probe: () => Promise.resolve(mine.reveal() === state.inForce ? WELL : DENIED),
        close: () => Promise.resolve(void state.closed++),
      };
      return Promise.resolve(inner);
    },
  });
  return { probe, state };
}

describe("a probe whose secrets lie in files", () => {
  it("reads them once while they are right, and again after it was refused, so that a changed one counts", async () => {
    const secrets = ["old"];
    const { probe, state } = locked(secrets);
    expect((await probe.probe(never)).ok).toBe(true);
    expect((await probe.probe(never)).ok).toBe(true);
    expect(state.made).toBe(1);
    state.inForce = "new";
    expect(await probe.probe(never)).toMatchObject({ code: "TM-PROBE-DENIED" });
    expect(state.closed).toBe(1);
    secrets[0] = "new";
    expect((await probe.probe(never)).ok).toBe(true);
    await probe.close();
    expect(state.closed).toBe(2);
    expect(inspect(probe, { depth: 9 })).not.toContain("new");
  });

  it("is away while a file cannot be read, and says which", async () => {
    const probe = new SecretProbe({
      name: "p",
      store: "db",
      clock,
      make: () => Promise.reject(new TidemarkError("TM-PLATFORM-SECRET", "there is no secret in /etc/tidemark/pg.password")),
    });
    expect(await probe.probe(never)).toMatchObject({
      ok: false,
      code: "TM-PROBE-DENIED",
      why: "it was not asked: there is no secret in /etc/tidemark/pg.password",
    });
    await probe.close();
    expect(await probe.probe(never)).toMatchObject({ ok: false, code: "TM-PROBE-AWAY" });
  });
});

describe("the canary that follows the primary", () => {
  const canary = (): FollowingCanary =>
    new FollowingCanary({
      store: "db",
      clock,
      // Nobody listens at port 1.
      servers: new Map([["pg1", () => Promise.resolve({ host: "127.0.0.1", port: 1, user: "u", database: "d", tls: "disable" as const })]]),
    });

  it("is written nowhere while no server, or more than one, is seen to be the primary", async () => {
    const probe = canary();
    expect(await probe.probe(never)).toMatchObject({ why: "no server was seen to be the primary" });
    probe.follow(store([primary(), primary({ name: "pg2" })]));
    expect(await probe.probe(never)).toMatchObject({ why: "more than one server says that it is the primary" });
    probe.follow(store([primary({ name: "pg7" }), copy({ name: "pg1", recoveryPoint: behind(0) })]));
    expect(await probe.probe(never)).toMatchObject({ why: "the primary pg7 is not one of the servers that are looked at" });
    await probe.close();
  });

  it("is written on the server that is the primary now", async () => {
    const probe = canary();
    probe.follow(store([primary({ name: "pg1" })]));
    expect(await probe.probe(never)).toMatchObject({
      ok: false,
      code: "TM-PROBE-AWAY",
      why: expect.stringContaining("ECONNREFUSED") as string,
    });
    await probe.close();
  });
});
