import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { Redacted } from "@tidemark/kernel/redacted";
import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import { freePort } from "@tidemark/postgres/testing/cluster-fixture";
import { NatsProbe, type NatsProbeOptions } from "./nats-probe.ts";
import { HttpStandIn, json } from "./testing/http-stand-in.ts";
import { bearsItsTarget, SECRET } from "./testing/http-target-rules.ts";
import { RunningPeer } from "./testing/running-peer.ts";

const clock = new ManualClock(1_800_000_000_000);
const iso = (agoMs: number): string => new Date(clock.wallMs() - agoMs).toISOString();

/** Of a real nats-server 2.9.10, shortened. */
const CONSUMER = { stream_name: "ORDERS", name: "applier", num_ack_pending: 2, num_pending: 3 };
const STREAM = {
  name: "ORDERS",
  cluster: { leader: "NAUTPBBK7ZNCFXNWJ3PZ7B627W452WUAT53O4PYK2GJNBXCFFD4K2T34" },
  state: { messages: 5, bytes: 135, first_seq: 1, first_ts: iso(60_000), last_seq: 5, last_ts: iso(4_000) },
  consumer_detail: [CONSUMER],
};
const jsz = (stream: object = {}) => ({
  now: iso(0),
  streams: 1,
  account_details: [{ name: "$G", stream_detail: [{ ...STREAM, ...stream }] }],
});

const make = (url: string, options: Partial<NatsProbeOptions> = {}): NatsProbe =>
  new NatsProbe({
    store: "orders",
    stream: "ORDERS",
    consumer: "applier",
    copy: { name: "stream", domain: { machine: "m5" } },
    target: { url, authorization: new Redacted(`Basic ${SECRET}`) },
    clock,
    ...options,
  });
const look = async (probe: NatsProbe) => {
  const reading = await probe.probe(AbortSignal.timeout(10_000));
  if (!reading.ok) throw new Error(`${reading.code}: ${reading.why}`);
  return reading;
};

describe("the probe of NATS", () => {
  bearsItsTarget({ make, good: jsz() });

  let target: HttpStandIn;
  beforeEach(async () => {
    target = await HttpStandIn.start(json(jsz()));
  });
  afterEach(() => target.stop());

  it("counts what the consumer was not given and what it has not acknowledged, and tells the stream as a copy where it is one", async () => {
    expect(await look(make(target.url))).toMatchObject({
      figures: {
        nats_consumer_lag_messages: { value: 5 },
        nats_stream_messages: { value: 5 },
        nats_stream_bytes: { value: 135 },
      },
      copies: [
        {
          name: "stream",
          kind: "queue",
          holds: "wal",
          recoveryPoint: { known: true, method: "observed", value: { commitMs: clock.wallMs() - 4_000, complete: false } },
          pointInTime: { fromMs: clock.wallMs() - 60_000, toMs: clock.wallMs() - 4_000 },
        },
      ],
    });
    const plain = { store: "orders", stream: "ORDERS", consumer: "applier", target: { url: target.url }, clock };
    expect((await look(new NatsProbe(plain))).copies).toEqual([]);
  });

  it("knows no backlog of a consumer that is not there, and no time of a stream that never had a message", async () => {
    target.answer = json(
      jsz({ consumer_detail: [], state: { ...STREAM.state, messages: 0, bytes: 0, last_seq: 0, last_ts: "0001-01-01T00:00:00Z" } }),
    );
    const reading = await look(make(target.url));
    expect(reading.figures["nats_consumer_lag_messages"]).toMatchObject({ known: false });
    expect(reading.copies[0]?.recoveryPoint).toMatchObject({ known: false });
    expect(reading.copies[0]?.pointInTime).toBeUndefined();
  });

  it("knows the figures of a cluster from the server that leads only", async () => {
    target.answer = json(
      jsz({ cluster: { name: "c1", leader: "n1" }, consumer_detail: [{ ...CONSUMER, cluster: { name: "c1", leader: "n2" } }] }),
    );
    for (const [server, stream, consumer] of [
      ["n1", true, false],
      ["n2", false, false],
    ] as const) {
      const { figures } = await look(make(target.url, { server }));
      expect([figures["nats_stream_messages"]?.known, figures["nats_consumer_lag_messages"]?.known]).toEqual([stream, consumer]);
    }
  });

  it("says that JetStream is off, or that the stream is not there", async () => {
    for (const answer of [{ disabled: true, streams: 0 }, { ...jsz(), account_details: [] }, jsz({ name: "OTHER" })]) {
      target.answer = json(answer);
      expect(await make(target.url).probe(AbortSignal.timeout(10_000))).toMatchObject({ ok: false, code: "TM-PROBE-FAILED" });
    }
  });
});

const BINARY = "/usr/sbin/nats-server";

describe.runIf(existsSync(BINARY) || process.env["TIDEMARK_REQUIRE_PEERS"] === "1")("a real nats-server", () => {
  it("tells the backlog of a consumer as messages come", { timeout: 60_000 }, async () => {
    const folder = await mkdtemp(join(tmpdir(), "tidemark-nats-"));
    const [port, monitoring] = [await freePort(), await freePort()];
    const url = `http://127.0.0.1:${monitoring}`;
    try {
      await using _peer = await RunningPeer.start({
        program: BINARY,
        args: ["-a", "127.0.0.1", "-p", String(port), "-m", String(monitoring), "-js", "-sd", folder],
        ready: `${url}/healthz`,
      });
      const real = (): NatsProbe => make(url, { clock: systemClock });
      expect(await real().probe(AbortSignal.timeout(10_000))).toMatchObject({ ok: false, code: "TM-PROBE-FAILED" });
      const socket = connect(port, "127.0.0.1");
      await once(socket, "connect");
      try {
        let said = "";
        socket.on("data", (chunk: Buffer) => (said += chunk.toString("utf8")));
        const publish = (subject: string, body: string): void =>
          void socket.write(`PUB ${subject} answers ${Buffer.byteLength(body)}\r\n${body}\r\n`);
        socket.write('CONNECT {"verbose":false}\r\nSUB answers 1\r\n');
        publish(
          "$JS.API.STREAM.CREATE.ORDERS",
          JSON.stringify({ name: "ORDERS", subjects: ["orders.*"], storage: "file", num_replicas: 1 }),
        );
        publish(
          "$JS.API.CONSUMER.DURABLE.CREATE.ORDERS.applier",
          JSON.stringify({ stream_name: "ORDERS", config: { durable_name: "applier", ack_policy: "explicit", deliver_policy: "all" } }),
        );
        await expect.poll(() => said, { timeout: 10_000 }).toContain("consumer_create_response");
        const idle = await look(real());
        expect(idle.figures["nats_consumer_lag_messages"]).toMatchObject({ known: true, value: 0 });
        expect(idle.copies[0]?.recoveryPoint).toMatchObject({ known: false });
        const fromMs = Date.now();
        for (let at = 0; at < 3; at++) publish("orders.new", `order ${at}`);
        await expect
          .poll(async () => (await look(real())).figures["nats_consumer_lag_messages"], { timeout: 10_000 })
          .toMatchObject({ value: 3 });
        const point = (await look(real())).copies[0]?.recoveryPoint;
        expect(point?.known === true && point.value.commitMs).toBeGreaterThanOrEqual(fromMs);
      } finally {
        socket.destroy();
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
