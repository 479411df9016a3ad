// Timelines of exposure as text, and what judgement makes of them second by second. One service, one scenario, one store, one
// vault; everything not said stays as it was.
//
//   objective rpo=60s rto=5m          before the first second
//   exposure 0s for 30s               | rises for 90s | falls to 5s over 10s | unknown for 2m | sawtooth 20s for 2m
//   copy pg2 lost | copy pg2 back | copy pg2 absent
//   vault hole | vault whole | vault silent | vault full
//   silence exposure-above-objective for 60s | restart | config off <rule>
import { parseDuration } from "@tidemark/kernel/duration";
import { silentLogger } from "@tidemark/kernel/logger";
import { seededRandom } from "@tidemark/kernel/random";
import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import { unknown } from "../../probes/probe-result.ts";
import type { ArchiveStatus } from "../../vault/archive/archive-status.ts";
import type { VaultStatus } from "../../vault/vault-status.ts";
import type { Notification } from "../alert.ts";
import { AlertFile } from "../alert-file.ts";
import { JudgementEngine } from "../judgement-engine.ts";
import type { RuleSettings } from "../judgement-settings.ts";
import type { VaultFacts } from "../observation.ts";
import { Outbox } from "../outbox.ts";
import { copyOfTest, exposureOfTest, storeOfTest } from "./sample-observation.ts";

type Shape = (second: number) => number | undefined;

const HOLE = { where: "far", kind: "wal" as const, recordedGap: false, timeline: 1, start: "0/3000000", end: "0/4000000" };

const ARCHIVE: ArchiveStatus = {
  stores: [
    { name: "far", state: "current", lagBytes: "0", lagSeconds: 0, lagIsLowerBound: false, objects: 1, unverified: 0, storedBytes: 1 },
  ],
  holes: [],
  gaps: [],
  faults: [],
  local: { segments: 0, bytes: "0", digested: 0, checked: 0 },
};

const VAULT: VaultStatus = {
  vault: "v1",
  store: "orders-db",
  state: "streaming",
  identity: "v1-x",
  slot: { walStatus: "reserved", active: true },
  gaps: [],
  faults: [],
  archive: ARCHIVE,
  uptimeMs: 1,
  atMs: 1,
};

export class JudgementScript {
  readonly lines: string[] = [];
  readonly clock = new ManualClock(1_700_000_000_000);
  readonly #path: string;
  #file: AlertFile;
  #outbox: Outbox;
  #engine: JudgementEngine;
  #second = 0;
  #rpoMs = 60_000;
  #rtoMs = 300_000;
  #exposureMs: number | undefined = 0;
  #knownAtMs = 0;
  #lostAtMs = 0;
  #copy: "there" | "lost" | "absent" = "there";
  #vault: VaultFacts = { store: "orders-db", vault: "v1", status: VAULT };
  #rules: Record<string, RuleSettings> = {};
  #phases = new Map<string, string>();

  /** @param path a file that is not there yet. */
  constructor(path: string) {
    this.#path = path;
    this.#file = new AlertFile(path, "script");
    this.#outbox = new Outbox(this.#file);
    this.#engine = this.#open();
  }

  async run(text: string): Promise<void> {
    for (const line of text.split("\n")) {
      const words = line.replace(/#.*/, "").trim();
      if (words === "") continue;
      if (!words.startsWith("exposure") && !words.startsWith("objective")) this.lines.push(`${this.#second}s -- ${words}`);
      await this.#do(words);
    }
    this.#file.close();
  }

  #open(): JudgementEngine {
    return new JudgementEngine({
      file: this.#file,
      outbox: this.#outbox,
      settings: {
        services: { orders: { owner: "shop", stores: ["orders-db"], target: 0.999 } },
        receivers: [{ name: "pager" }],
        rules: this.#rules,
      },
      world: { clock: this.clock, random: seededRandom(1), logger: silentLogger, audit: { append: () => Promise.resolve() } },
    });
  }

  async #do(words: string): Promise<void> {
    const objective = /^objective rpo=(\S+) rto=(\S+)$/.exec(words);
    const exposure = /^exposure (.+) (?:for|over) (\S+)$/.exec(words);
    const silence = /^silence (\S+) for (\S+)$/.exec(words);
    if (objective !== null) {
      this.#rpoMs = parseDuration(objective[1] ?? "");
      this.#rtoMs = parseDuration(objective[2] ?? "");
    } else if (exposure !== null)
      await this.#play(this.#shapeOf(exposure[1] ?? "", parseDuration(exposure[2] ?? "")), parseDuration(exposure[2] ?? ""));
    else if (silence !== null)
      await this.#engine.silence({
        matchers: { rule: silence[1] ?? "" },
        endsAtMs: this.clock.wallMs() + parseDuration(silence[2] ?? ""),
        who: "user:ada",
        why: "planned work",
      });
    else if (words === "restart") this.#restart();
    else if (words.startsWith("config off ")) {
      this.#rules = { [words.slice(11)]: { off: true } };
      this.#restart();
    } else if (words.startsWith("copy pg2 ")) {
      this.#lostAtMs = this.clock.wallMs();
      this.#copy = words === "copy pg2 back" ? "there" : words === "copy pg2 lost" ? "lost" : "absent";
    } else if (words.startsWith("vault ")) this.#vault = vaultOf(words.slice(6));
    else throw new Error(`not understood: ${words}`);
  }

  #restart(): void {
    this.#file.close();
    this.#file = new AlertFile(this.#path, "another");
    this.#outbox = new Outbox(this.#file);
    this.#engine = this.#open();
  }

  #shapeOf(words: string, lengthMs: number): Shape {
    const from = this.#exposureMs ?? 0;
    if (words === "unknown") return () => undefined;
    if (words === "rises") return (second) => from + (second + 1) * 1_000;
    if (words.startsWith("sawtooth ")) return (second) => ((second + 1) * 1_000) % parseDuration(words.slice(9));
    if (words.startsWith("falls to ")) {
      const to = parseDuration(words.slice(9));
      return (second) => from + ((to - from) * (second + 1)) / (lengthMs / 1_000);
    }
    const value = parseDuration(words);
    return () => value;
  }

  async #play(shape: Shape, lengthMs: number): Promise<void> {
    for (let second = 0; second < lengthMs / 1_000; second++) {
      await this.clock.advance(1_000);
      this.#second++;
      this.#exposureMs = shape(second);
      this.#observe();
    }
  }

  #observe(): void {
    const nowMs = this.clock.wallMs();
    if (this.#exposureMs !== undefined) this.#knownAtMs = nowMs;
    const figure = this.#exposureMs === undefined ? { unknownSinceMs: this.#knownAtMs } : { exposureMs: this.#exposureMs };
    const exposure = exposureOfTest({ rpoMs: this.#rpoMs, rtoMs: this.#rtoMs, atMs: nowMs, ...figure });
    const primary = copyOfTest({ name: "pg1", kind: "primary" });
    const standby = copyOfTest({
      name: "pg2",
      ...(this.#copy === "lost" ? { recoveryPoint: unknown("it does not answer", this.#lostAtMs) } : {}),
    });
    const stores = [storeOfTest({ copies: this.#copy === "absent" ? [primary] : [primary, standby] })];
    this.#engine.observe(nowMs, { exposures: [exposure], stores, vaults: [this.#vault] });
    this.#tell();
  }

  #tell(): void {
    const now = new Map(this.#engine.alerts().map((alert) => [alert.rule, alert.state]));
    for (const [rule, state] of now) {
      if (this.#phases.get(rule) !== state && state === "pending") this.lines.push(`${this.#second}s ${rule} pending`);
      if (this.#phases.get(rule) !== state && state === "firing") {
        const alert = this.#engine.alerts().find((one) => one.rule === rule);
        this.lines.push(`${this.#second}s ${rule} firing (${alert?.severity}): ${alert?.summary}`);
      }
    }
    for (const [rule, state] of this.#phases)
      if (!now.has(rule)) this.lines.push(`${this.#second}s ${rule} ${state === "firing" ? "over" : "dropped"}`);
    this.#phases = now;
    const due = this.#outbox.due("pager", this.clock.wallMs(), 100);
    for (const { notification } of due) this.lines.push(`${this.#second}s   told pager: ${told(notification)}`);
    this.#outbox.delivered("pager", due);
  }
}

function told({ kind, rule, startsAtMs, endsAtMs, ended }: Notification): string {
  return kind === "firing" ? `${rule} fires` : `${rule} is over after ${((endsAtMs ?? 0) - startsAtMs) / 1_000}s (${ended})`;
}

function vaultOf(words: string): VaultFacts {
  const base = { store: "orders-db", vault: "v1" };
  if (words === "silent") return base;
  if (words === "full") return { ...base, status: { ...VAULT, state: "full" } };
  return { ...base, status: words === "hole" ? { ...VAULT, archive: { ...ARCHIVE, holes: [HOLE] } } : VAULT };
}
