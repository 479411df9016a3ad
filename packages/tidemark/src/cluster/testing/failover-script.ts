// Failover scenarios as text. A script names nodes and events; the runner prints what the decision asks for and what comes
// of it. Commands, one a line, `#` begins a comment:
//   settings policy=<never-lose|available|bounded:MS> [voters-only=<nodes>]
//   node <name> <standby|primary|down|away> <end LSN> [timeline=<n>] [broken]   `away`: its agent does not answer; `broken`: it gives nobody its WAL
//   record primary=<node> sets=<k:node,node|closed|async>[+…] [epoch=<n>] [timeline=<n> fork=<LSN> from=<n>]
//   start                    the coordinator reads the record
//   suspect <node>           with every standby that answers
//   deliver [n]              performs the next n effects (all that are there, and what follows from them)
//   lose                     the next effect never arrives
//   fire <timer>             a timer's time has come
//   restart                  the coordinator dies; another begins
//   accept[-down] <by>: <reason>   an operator accepts the stated loss [and vouches that the primary is down]
//   loss bytes=<n> ms=<n>    what the registry will state
import type { Epoch, Timeline } from "@tidemark/kernel/brands";
import { parseLsn } from "@tidemark/kernel/lsn";
import type { SynchronousPolicy } from "../../config/config.ts";
import type { ClusterRecord, SynchronousSet } from "../cluster-record.ts";
import { decide } from "../failover-decision.ts";
import type { DecisionSettings, Effect, FailoverState, Input, LossEstimate } from "../failover-state.ts";
import { INITIAL_STATE } from "../failover-state.ts";
import { ASYNCHRONOUS_SET, CLOSED_SET } from "../quorum.ts";
import { sampleRecord, sampleSet } from "./sample-record.ts";

interface ScriptNode {
  readonly name: string;
  state: "standby" | "primary" | "down" | "away";
  end: string;
  timeline: number;
  promised: number;
  /** A vault that votes and then cannot give its WAL. */
  broken: boolean;
}

/** Effects that one `deliver` may perform; beyond it the decision runs in circles. */
const MOST_EFFECTS = 200;

export class FailoverScript {
  readonly lines: string[] = [];
  readonly nodes = new Map<string, ScriptNode>();
  record: ClusterRecord = sampleRecord();
  state: FailoverState = INITIAL_STATE;
  /** Nodes that were written into the record, with the target that each was given. */
  readonly promotions: { node: string; target: string; end: string; incumbent: boolean; loss: boolean }[] = [];
  #revision = 1;
  #pending: Effect[] = [];
  #timers: Extract<Effect, { type: "timer" }>[] = [];
  #policy: SynchronousPolicy = { kind: "never-lose" };
  #votersOnly: readonly string[] = [];
  #loss: LossEstimate = {};
  #coordinator = 1;
  readonly #crashAfter: number;
  #steps = 0;

  /** @param crashAfter the coordinator dies after so many steps, and another one goes on by itself. */
  constructor(crashAfter = Infinity) {
    this.#crashAfter = crashAfter;
  }

  /** How many steps (inputs heard) there were: where a coordinator can die. */
  get steps(): number {
    return this.#steps;
  }

  get crashed(): boolean {
    return this.#steps >= this.#crashAfter;
  }

  run(text: string): void {
    for (const raw of text.split("\n")) {
      const line = raw.replace(/#.*/, "").trim();
      if (line === "" || this.crashed) continue;
      this.lines.push(`> ${line}`);
      this.#command(line);
    }
  }

  /** Another coordinator takes over and everything that it asks for is done, until nothing is left to do. */
  goOn(): void {
    this.#restart();
    for (let round = 0; round < MOST_EFFECTS && this.state.phase !== "steady"; round++) {
      if (this.#pending.length > 0) this.#deliver(MOST_EFFECTS);
      else if (this.#timers.length > 0) this.#fireNext();
      else if (this.record.claim === undefined) this.#suspectOrOpen();
      else break;
    }
  }

  #command(line: string): void {
    const [command = "", ...rest] = line.split(/\s+/);
    const options = new Map(rest.filter((word) => word.includes("=")).map((word) => word.split("=") as [string, string]));
    switch (command) {
      case "settings":
        this.#policy = policyOf(options.get("policy") ?? "never-lose");
        this.#votersOnly = options.get("voters-only")?.split(",") ?? [];
        return;
      case "node": {
        const [name = "", state = "standby", end = "0/0"] = rest;
        this.nodes.set(name, {
          name,
          state: state as ScriptNode["state"],
          end,
          timeline: Number(options.get("timeline") ?? "1"),
          promised: this.nodes.get(name)?.promised ?? 0,
          broken: rest.includes("broken"),
        });
        return;
      }
      case "record":
        this.record = recordOf(options);
        return;
      case "start":
        this.#hear({ type: "observed", record: this.record, revision: this.#revision });
        return;
      case "suspect":
        this.#suspect(rest[0] ?? "");
        return;
      case "deliver":
        this.#deliver(rest[0] === undefined ? MOST_EFFECTS : Number(rest[0]));
        return;
      case "lose":
        this.#say(`lost: ${describe(this.#pending.shift())}`);
        return;
      case "fire":
        this.#fire(rest[0] ?? "");
        return;
      case "restart":
        this.#restart();
        return;
      case "accept":
      case "accept-down":
        this.#hear({
          type: "accepted",
          by: (rest[0] ?? "").replace(":", ""),
          reason: rest.slice(1).join(" "),
          primaryIsDown: command === "accept-down",
        });
        return;
      case "loss":
        this.#loss = { bytes: Number(options.get("bytes")), exposureMs: Number(options.get("ms")), reportAgeMs: 100 };
        return;
      default:
        throw new Error(`"${line}" is no command of a script`);
    }
  }

  get #settings(): DecisionSettings {
    const nodes = [...this.nodes.keys()];
    return {
      coordinator: `c${this.#coordinator}`,
      nodes,
      promotable: nodes.filter((node) => !this.#votersOnly.includes(node)),
      policy: this.#policy,
      leaseMs: 5_000,
      voteWaitMs: 3_000,
      retryMs: 1_000,
      takeOverAfterMs: 500,
    };
  }

  #hear(input: Input): void {
    if (this.crashed) return;
    this.#steps++;
    const before = this.state.phase;
    const { state, effects } = decide(this.state, input, this.#settings);
    this.state = state;
    if (state.phase !== before) this.#say(`${before} → ${state.phase}${state.phase === "blocked" ? ` (${state.obstacle ?? ""})` : ""}`);
    for (const effect of effects) {
      this.#say(`asks: ${describe(effect)}`);
      if (effect.type === "timer") this.#timers.push(effect);
      else this.#pending.push(effect);
    }
  }

  #deliver(most: number): void {
    for (let count = 0; count < most && !this.crashed; count++) {
      const effect = this.#pending.shift();
      if (effect === undefined) return;
      this.#perform(effect);
      if (count === MOST_EFFECTS - 1) throw new Error("the decision runs in circles");
    }
  }

  #perform(effect: Exclude<Effect, { type: "timer" }> | Effect): void {
    switch (effect.type) {
      case "read":
        this.#hear({ type: "observed", record: this.record, revision: this.#revision });
        return;
      case "compare-and-set":
        if (effect.expected === this.#revision) this.#write(effect.record);
        else this.#hear({ type: "conflict" });
        return;
      case "revoke":
        this.#revoke(effect.node, effect.epoch);
        return;
      case "fence": {
        const node = this.nodes.get(effect.node);
        if (node === undefined || node.state === "away") return this.#say(`${effect.node} does not answer`);
        node.promised = Math.max(node.promised, effect.epoch);
        if (node.state === "primary") node.state = "down";
        this.#say(`${node.name} is fenced`);
        this.#hear({ type: "fenced", epoch: effect.epoch, node: node.name });
        return;
      }
      case "estimate":
        this.#hear({ type: "estimated", epoch: effect.epoch, atMs: 0, ...this.#loss });
        return;
      case "complete":
        this.#complete(effect);
        return;
      case "promote":
        this.#promote(effect);
        return;
      case "timer":
    }
  }

  #complete(effect: Extract<Effect, { type: "complete" }>): void {
    const { epoch, from } = effect;
    const node = this.nodes.get(effect.node);
    const source = this.nodes.get(from);
    const fail = (why: string): void => {
      this.#say(`${effect.node} is not completed: ${why}`);
      this.#hear({ type: "not-completed", epoch, node: effect.node, from, why });
    };
    if (node === undefined || node.state === "away") return fail("no answer");
    if (source === undefined || source.state === "away" || source.broken) return fail(`${from} does not give its WAL`);
    if (node.promised !== epoch) return fail("not promised");
    node.end = effect.target;
    node.timeline = effect.timeline;
    this.#say(`${node.name} has replayed ${node.end}`);
    this.#hear({ type: "completed", epoch, node: node.name, from });
  }

  #revoke(name: string, epoch: Epoch): void {
    const node = this.nodes.get(name);
    const refuse = (why: string): void => {
      this.#say(`${name} refuses: ${why}`);
      this.#hear({ type: "refused", epoch, node: name, why });
    };
    if (node === undefined || node.state === "away") return refuse("no answer");
    if (node.promised > epoch) return refuse(`epoch ${node.promised} is promised`);
    node.promised = epoch;
    if (node.state !== "standby") return refuse("is no standby");
    this.#say(`${name} votes ${node.end}`);
    this.#hear({ type: "vote", vote: { node: name, identity: `${name}_1`, epoch, timeline: node.timeline as Timeline, end: node.end } });
  }

  #promote(effect: Extract<Effect, { type: "promote" }>): void {
    const { candidate, epoch } = effect;
    const node = this.nodes.get(candidate.node);
    const fail = (why: string): void => {
      this.#say(`${candidate.node} cannot be promoted: ${why}`);
      this.#hear({ type: "promote-failed", epoch, node: candidate.node, why });
    };
    if (node === undefined || node.state === "away") return fail("no answer");
    if (this.record.claim?.epoch !== epoch) return fail("stale epoch");
    if (!candidate.incumbent && (node.promised !== epoch || node.state !== "standby")) return fail("not promised");
    if (!candidate.incumbent && parseLsn(node.end) < parseLsn(candidate.target)) return fail("behind");
    const { claim, loss: _former, ...kept } = this.record;
    this.promotions.push({
      node: node.name,
      target: candidate.target,
      end: node.end,
      incumbent: candidate.incumbent,
      loss: claim.loss !== undefined,
    });
    node.state = "primary";
    const former = {
      epoch: kept.epoch,
      primary: kept.primary,
      timeline: kept.timeline,
      forkLsn: kept.forkLsn,
      beganAtMs: 0,
      ...(kept.forkedFrom === undefined ? {} : { forkedFrom: kept.forkedFrom }),
    };
    const reign = candidate.incumbent
      ? {}
      : {
          timeline: kept.nextTimeline as Timeline,
          forkLsn: node.end,
          forkedFrom: node.timeline as Timeline,
          nextTimeline: kept.nextTimeline + 1,
          sets: [CLOSED_SET],
          ...(claim.loss === undefined ? {} : { loss: claim.loss }),
        };
    if (!candidate.incumbent) node.timeline = kept.nextTimeline;
    this.#write({ ...kept, epoch, primary: node.name, reigns: [former, ...kept.reigns], ...reign });
    this.#hear({ type: "opened", epoch, node: node.name });
  }

  #write(record: ClusterRecord): void {
    this.record = record;
    this.#revision++;
    this.#say(`record ${this.#revision}: ${describeRecord(record)}`);
    this.#hear({ type: "observed", record, revision: this.#revision });
  }

  #suspect(name: string): void {
    const standbys = this.#settings.promotable.filter((node) => node !== name && this.nodes.get(node)?.state === "standby");
    this.#hear({ type: "suspected", node: name, reason: "PostgreSQL ended", standbys });
  }

  /** What agents do meanwhile: a primary that runs is open, one that does not is suspected, or starts again where nobody else could. */
  #suspectOrOpen(): void {
    const primary = this.nodes.get(this.record.primary);
    if (primary === undefined) return;
    const others = this.#settings.promotable.some((node) => node !== primary.name && this.nodes.get(node)?.state === "standby");
    if (primary.state === "down" && !others) primary.state = "primary";
    if (primary.state === "primary") this.#hear({ type: "opened", epoch: this.record.epoch, node: primary.name });
    else this.#suspect(primary.name);
  }

  #fire(name: string): void {
    const index = this.#timers.findIndex((timer) => timer.name === name);
    const [timer] = index < 0 ? [] : this.#timers.splice(index, 1);
    if (timer === undefined) throw new Error(`no timer ${name} is set`);
    this.#hear({ type: "timer", name: timer.name, token: timer.token });
  }

  #fireNext(): void {
    const next = this.#timers.reduce((first, timer) => (timer.delayMs < first.delayMs ? timer : first));
    this.#timers = this.#timers.filter((timer) => timer !== next);
    this.#hear({ type: "timer", name: next.name, token: next.token });
  }

  #restart(): void {
    this.#coordinator++;
    this.#pending = [];
    this.#timers = [];
    this.state = INITIAL_STATE;
    this.#steps = Number.isFinite(this.#crashAfter) ? -Infinity : this.#steps;
    this.#say(`c${this.#coordinator} begins`);
    this.#hear({ type: "observed", record: this.record, revision: this.#revision });
  }

  #say(text: string): void {
    this.lines.push(`  ${text}`);
  }
}

function describe(effect: Effect | undefined): string {
  switch (effect?.type) {
    case undefined:
      return "nothing";
    case "read":
      return "read the record";
    case "compare-and-set": {
      const { claim } = effect.record;
      const loss = claim?.loss === undefined ? "" : ` loss=${claim.loss.bytes ?? "unknown"} bytes accepted by ${claim.loss.acceptedBy}`;
      return `set on ${effect.expected}: claim ${claim?.epoch ?? "none"} of ${claim?.coordinator ?? "nobody"}${loss}`;
    }
    case "revoke":
    case "fence":
      return `${effect.type} ${effect.node} for ${effect.epoch}`;
    case "estimate":
      return `estimate what ${effect.node} lacks beyond ${effect.end}`;
    case "complete":
      return `complete ${effect.node} from ${effect.from} up to ${effect.target}`;
    case "promote":
      return effect.candidate.incumbent
        ? `re-elect ${effect.candidate.node} in ${effect.epoch}`
        : `promote ${effect.candidate.node} in ${effect.epoch} at ${effect.candidate.target}`;
    case "timer":
      return `timer ${effect.name} in ${Math.round(effect.delayMs)} ms`;
  }
}

function describeRecord(record: ClusterRecord): string {
  const sets = record.sets
    .map((set) =>
      set.required === 0
        ? "async"
        : set.members.length < set.required
          ? "closed"
          : `${set.required}:${set.members.map((member) => member.node).join(",")}`,
    )
    .join("+");
  const claim = record.claim === undefined ? "" : `, claim ${record.claim.epoch} of ${record.claim.coordinator}`;
  return `epoch ${record.epoch} ${record.primary} timeline ${record.timeline} sets ${sets}${claim}${record.loss === undefined ? "" : ", with a stated loss"}`;
}

function policyOf(text: string): SynchronousPolicy {
  const [kind, ms] = text.split(":");
  if (kind === "bounded") return { kind, mostLossMs: Number(ms) };
  return { kind: kind === "available" ? "available" : "never-lose" };
}

function recordOf(options: ReadonlyMap<string, string>): ClusterRecord {
  const sets = (options.get("sets") ?? "closed").split("+").map((text): SynchronousSet => {
    if (text === "closed") return CLOSED_SET;
    if (text === "async") return ASYNCHRONOUS_SET;
    const [required = "1", members = ""] = text.split(":");
    return sampleSet(Number(required), ...members.split(","));
  });
  const timeline = Number(options.get("timeline") ?? "1");
  const forkedFrom = options.get("from");
  return sampleRecord({
    epoch: Number(options.get("epoch") ?? "1") as Epoch,
    primary: options.get("primary") ?? "a",
    sets,
    timeline: timeline as Timeline,
    forkLsn: options.get("fork") ?? "0/0",
    nextTimeline: timeline + 1,
    ...(forkedFrom === undefined ? {} : { forkedFrom: Number(forkedFrom) as Timeline }),
  });
}
