import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { Redacted } from "@tidemark/kernel/redacted";
import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import { freePort } from "@tidemark/postgres/testing/cluster-fixture";
import type { Figure } from "./probe-result.ts";
import { PrometheusProbe, type PrometheusProbeOptions } from "./prometheus-probe.ts";
import { HttpStandIn } from "./testing/http-stand-in.ts";
import { bearsItsTarget, SECRET } from "./testing/http-target-rules.ts";
import { RunningPeer } from "./testing/running-peer.ts";

const clock = new ManualClock(1_800_000_000_000);
const vector = (...values: string[]) => ({
  status: "success",
  data: { resultType: "vector", result: values.map((value) => ({ metric: {}, value: [1_800_000_000.5, value] })) },
});
const FIGURE = "orders_queue_length";

const make = (url: string, options: Partial<PrometheusProbeOptions> = {}): PrometheusProbe =>
  new PrometheusProbe({
    store: "orders",
    figure: FIGURE,
    query: "x",
    target: { url, authorization: new Redacted(`Bearer ${SECRET}`) },
    clock,
    ...options,
  });

const figureOf = async (probe: PrometheusProbe): Promise<Figure<number> | undefined> => {
  const reading = await probe.probe(AbortSignal.timeout(10_000));
  if (!reading.ok) throw new Error(`${reading.code}: ${reading.why}`);
  return reading.figures[FIGURE];
};

describe("the probe of Prometheus", () => {
  bearsItsTarget({ make, good: vector("7.5") });

  let target: HttpStandIn;
  beforeEach(async () => {
    target = await HttpStandIn.start();
  });
  afterEach(() => target.stop());
  const answers = (...bodies: unknown[]): string[] => {
    const asked: string[] = [];
    target.answer = (request, response) => {
      asked.push(request.url ?? "");
      response.end(JSON.stringify(bodies[asked.length - 1]));
    };
    return asked;
  };

  it("has the lookback as its error bound when the sample's time is not asked for", async () => {
    answers(vector("7.5"));
    expect(await figureOf(make(target.url))).toMatchObject({ known: true, value: 7.5, errorMs: 300_000 });
  });

  it("asks for the sample's time at the moment of the value, and is as old as the sample", async () => {
    const asked = answers(vector("0"), vector("1799999990.5"));
    expect(await figureOf(make(`${target.url}/prefix/`, { sampleTime: "timestamp(x)" }))).toMatchObject({
      known: true,
      value: 0,
      atMs: clock.wallMs() - 10_000,
    });
    expect(asked).toEqual(["/prefix/api/v1/query?query=x", "/prefix/api/v1/query?query=timestamp%28x%29&time=1800000000.5"]);
  });

  it.each([
    ["no series", vector(), vector()],
    ["two series", vector("1", "2"), vector("1799999990.5")],
    ["NaN", vector("NaN"), vector("1799999990.5")],
    ["an infinite number", vector("+Inf"), vector("1799999990.5")],
    ["a stale sample", vector("5"), vector("1799999900")],
    ["a sample of the future", vector("5"), vector("1800000100")],
    ["a sample without a time", vector("5"), vector()],
  ])("does not know the figure when there is %s", async (_what, value, time) => {
    answers(value, time);
    expect(await figureOf(make(target.url, { sampleTime: "timestamp(x)" }))).toMatchObject({ known: false });
  });
});

const BINARY = "/usr/bin/prometheus";

describe.runIf(existsSync(BINARY) || process.env["TIDEMARK_REQUIRE_PEERS"] === "1")("a real Prometheus", () => {
  it("answers queries with a number and its age, and says that a bad query failed", { timeout: 60_000 }, async () => {
    const folder = await mkdtemp(join(tmpdir(), "tidemark-prometheus-"));
    const exporter = await HttpStandIn.start((_request, response) => {
      response.writeHead(200, { "content-type": "text/plain; version=0.0.4" });
      response.end('queue_length{queue="a"} 42\nqueue_length{queue="b"} 0\n');
    });
    try {
      const config = join(folder, "prometheus.yml");
      const job = {
        job_name: "orders",
        scrape_interval: "200ms",
        scrape_timeout: "200ms",
        static_configs: [{ targets: [exporter.url.slice(7)] }],
      };
      await writeFile(config, JSON.stringify({ scrape_configs: [job] }));
      const url = `http://127.0.0.1:${await freePort()}`;
      await using _peer = await RunningPeer.start({
        program: BINARY,
        args: [`--config.file=${config}`, `--storage.tsdb.path=${join(folder, "data")}`, `--web.listen-address=${url.slice(7)}`],
        ready: `${url}/-/ready`,
      });
      const real = (query: string, options: Partial<PrometheusProbeOptions> = {}) =>
        make(url, { query, sampleTime: 'timestamp(queue_length{queue="a"})', clock: systemClock, ...options });
      await expect.poll(async () => (await figureOf(real('queue_length{queue="a"}')))?.known, { timeout: 20_000 }).toBe(true);
      expect(await figureOf(real('queue_length{queue="a"}'))).toMatchObject({ value: 42 });
      expect(await figureOf(real('queue_length{queue="b"}'))).toMatchObject({ known: true, value: 0 });
      expect(await figureOf(real('scalar(queue_length{queue="a"}) + 1'))).toMatchObject({ value: 43 });
      expect(await figureOf(real("queue_length"))).toMatchObject({ known: false, why: "the query gives 2 series, and one was expected" });
      expect(await figureOf(real("absent_series"))).toMatchObject({ known: false });
      expect(await real("queue_length{").probe(AbortSignal.timeout(10_000))).toMatchObject({ ok: false, code: "TM-PROBE-FAILED" });
      expect(await real('queue_length{queue="a"}[1m]').probe(AbortSignal.timeout(10_000))).toMatchObject({
        ok: false,
        code: "TM-PROBE-FAILED",
      });
      await exporter.stop();
      // A target that is gone leaves a marker, and the series with it, or the sample grows old: either way nothing is known of it.
      await expect
        .poll(async () => (await figureOf(real('queue_length{queue="a"}', { staleAfterMs: 1_000 })))?.known, { timeout: 20_000 })
        .toBe(false);
    } finally {
      await exporter.stop();
      await rm(folder, { recursive: true, force: true });
    }
  });
});
