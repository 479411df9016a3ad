// The gateway's side: a journal in memory that forgets as soon as it may, the link with its delays, verdicts, replays, and the
// memory of everything that was acknowledged.
import type { JournalId, Partition, Sequence } from "@tidemark/kernel/brands";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { FromApplier, ToApplier } from "../../../tidemark/src/applier/applier-link.ts";
import type { GatewayLink } from "../../../tidemark/src/applier/gateway-link.ts";
import type { VerdictPayload, WritePayload } from "../../../tidemark/src/gateway/write-payload.ts";
import type { JournalReader, JournalRecord } from "../../../tidemark/src/journal/journal.ts";
import type { Mutation } from "./mutation.ts";
import type { VirtualClock } from "./virtual-clock.ts";

export const PARTITIONS = 3;

export interface ModelWrite {
  readonly command: string;
  readonly key: string;
  readonly args: Readonly<Record<string, string>>;
  readonly idempotencyKey: string;
}

/** What the gateway acknowledged. */
export interface Acknowledged extends ModelWrite {
  readonly sequence: bigint;
  readonly origin: bigint;
  readonly replayOf: bigint | undefined;
}

type Channel = { open: boolean; readonly listeners: Set<(message: ToApplier) => void> };

export class ModelGateway {
  readonly id: JournalId;
  readonly acknowledged = new Map<bigint, Acknowledged>();
  /** Verdicts as they were shown, with the newest word of each write. */
  readonly shown = new Map<bigint, VerdictPayload["verdict"]>();
  /** Everything that was ever rejected. */
  readonly rejected = new Set<bigint>();
  /** Said as applied, not provisionally, by partition. */
  readonly proven = new Map<number, bigint>();
  /** Applied, in any way, by partition, as the newest message says. */
  readonly applied = new Map<number, bigint>();
  stopped: string | undefined;
  readonly #clock: VirtualClock;
  readonly #mutation: Mutation;
  readonly #channels = new Set<Channel>();
  #records: JournalRecord[] = [];
  #oldest = 1n;
  #next = 1n;
  #id = 0;
  /** Grows when the gateway crashes: what was not durable then is gone. */
  #life = 0;

  constructor(clock: VirtualClock, id: JournalId, mutation: Mutation) {
    this.#clock = clock;
    this.id = id;
    this.#mutation = mutation;
  }

  get durable(): bigint {
    return this.#next - 1n;
  }

  get oldest(): bigint {
    return this.#oldest;
  }

  /** What an applier reads; closed with it. */
  reader(): JournalReader {
    return {
      id: this.id,
      read: async (from, upTo, limits) => {
        await this.#clock.delay(0.1, 1);
        if (from < this.#oldest) {
          throw new TidemarkError("TM-JOURNAL-TRIMMED", "trimmed", { details: { from, upTo: this.#oldest - 1n } });
        }
        const start = Number(from - this.#oldest);
        return this.#records.slice(start, start + Math.min(limits.records, 20, Number(upTo - from) + 1));
      },
      close: () => Promise.resolve(),
    };
  }

  /** A channel for one applier. */
  connect(): { link: GatewayLink; close: () => void } {
    const channel: Channel = { open: true, listeners: new Set() };
    this.#channels.add(channel);
    const link: GatewayLink = {
      send: (message) => this.#clock.setTimer(this.#clock.between(0.1, 2), () => channel.open && this.#hear(message, channel)),
      onMessage: (listener) => {
        channel.listeners.add(listener);
        return () => channel.listeners.delete(listener);
      },
    };
    this.#tell(channel, { type: "durable", upTo: String(this.durable) });
    const close = (): void => {
      channel.open = false;
      this.#channels.delete(channel);
    };
    return { link, close };
  }

  write(write: ModelWrite, replayOf?: bigint): bigint {
    const payload: WritePayload = {
      v: 1,
      id: `w${this.#id++}`,
      command: write.command,
      args: write.args,
      idempotencyKey: write.idempotencyKey,
      scope: "app",
      contentHash: JSON.stringify([write.command, write.args]),
      ...(replayOf === undefined ? {} : { replayOf: String(replayOf) }),
    };
    const sequence = this.#append("write", { key: write.key, partition: partitionOf(write.key), payload });
    const origin = replayOf === undefined ? sequence : (this.acknowledged.get(replayOf)?.origin ?? replayOf);
    this.acknowledged.set(sequence, { ...write, sequence, origin, replayOf });
    return sequence;
  }

  /** All pending letters of all keys, replayed in the order of their origins. Answers how many. */
  replayPending(): number {
    const pending = [...this.shown]
      .filter(([, verdict]) => verdict === "rejected" || verdict === "parked")
      .map(([sequence]) => this.acknowledged.get(sequence) as Acknowledged);
    pending.sort((a, b) => (a.origin < b.origin ? -1 : 1));
    for (const letter of pending) {
      const replayedAs = this.write(letter, letter.sequence);
      this.#record({
        v: 1,
        sequence: String(letter.sequence),
        verdict: "replayed",
        reason: "mended",
        by: "operator",
        replayedAs: String(replayedAs),
      });
    }
    return pending.length;
  }

  /** The gateway dies and is there again: channels close, verdicts on their way are gone, what is durable stays. */
  crash(): void {
    this.#life++;
    for (const channel of this.#channels) channel.open = false;
    this.#channels.clear();
  }

  #append(kind: JournalRecord["kind"], entry: { key: string; partition: number; payload: unknown }): bigint {
    const sequence = this.#next++;
    const partition = entry.partition as Partition;
    const payload = Buffer.from(JSON.stringify(entry.payload));
    this.#records.push({ kind, key: entry.key, partition, generation: 1, sequence: sequence as Sequence, acceptedAtMs: 1, payload });
    for (const channel of this.#channels) this.#tell(channel, { type: "durable", upTo: String(sequence) });
    return sequence;
  }

  #tell(channel: Channel, message: ToApplier): void {
    this.#clock.setTimer(this.#clock.between(0.1, 2), () => {
      if (channel.open) for (const listener of channel.listeners) listener(message);
    });
  }

  #hear(message: FromApplier, channel: Channel): void {
    if (message.type === "state")
      this.stopped = message.state.state === "stopped" ? `${message.state.code} ${message.state.message}` : undefined;
    if (message.type === "applied") this.#hearApplied(message);
    if (message.type === "trim-safe" && this.#mutation !== "trim-what-is-applied") this.#trim(BigInt(message.upTo));
    if (message.type === "verdict") this.#hearVerdict(message, channel);
  }

  #hearApplied(message: Extract<FromApplier, { type: "applied" }>): void {
    const upTo = BigInt(message.upTo);
    this.applied.set(message.partition, upTo);
    if (!message.provisional && upTo > (this.proven.get(message.partition) ?? 0n)) this.proven.set(message.partition, upTo);
    if (this.#mutation !== "trim-what-is-applied" || this.applied.size < PARTITIONS) return;
    this.#trim([...this.applied.values()].reduce((least, one) => (one < least ? one : least)));
  }

  #hearVerdict(message: Extract<FromApplier, { type: "verdict" }>, channel: Channel): void {
    const answer = (sequence: bigint): void =>
      this.#tell(channel, { type: "verdict-recorded", request: message.request, sequence: String(sequence) });
    const sequence = BigInt(message.payload.sequence);
    if (this.shown.has(sequence)) return answer(this.durable);
    if (message.payload.verdict === "rejected") this.rejected.add(sequence);
    if (this.#mutation !== "verdict-late") return answer(this.#record(message.payload));
    // Shown and answered at once, durable later, unless the gateway dies before.
    this.shown.set(sequence, message.payload.verdict);
    answer(this.durable);
    const life = this.#life;
    this.#clock.setTimer(this.#clock.between(500, 2_500), () => life === this.#life && this.#record(message.payload));
  }

  #record(payload: VerdictPayload): bigint {
    const sequence = BigInt(payload.sequence);
    this.shown.set(sequence, payload.verdict);
    const partition = partitionOf((this.acknowledged.get(sequence) as Acknowledged).key);
    return this.#append("verdict", { key: "", partition, payload });
  }

  #trim(upTo: bigint): void {
    if (upTo < this.#oldest) return;
    this.#records = this.#records.slice(Number(upTo - this.#oldest) + 1);
    this.#oldest = upTo + 1n;
  }
}

export function partitionOf(key: string): number {
  let sum = 0;
  for (const character of key) sum += character.charCodeAt(0);
  return sum % PARTITIONS;
}
