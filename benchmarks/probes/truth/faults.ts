// The scripted faults: what is broken, for how long, and how it is mended.
import type { ProbedPair } from "../probed-pair.ts";
import type { Witness } from "./witness.ts";

export interface Fault {
  readonly name: "stall" | "partition" | "backlog";
  readonly words: string;
  /** Breaks it; what it resolves with mends it. */
  begin(pair: ProbedPair, witness: Witness): Promise<() => void>;
}

/** About half of what the writer writes then. */
const SLOW_BYTES_PER_SECOND = 150_000;

export const STALL: Fault = {
  name: "stall",
  words: "the standby's receiver is stopped (SIGSTOP)",
  async begin(pair) {
    const [receiver] = await pair.backends("standby", { kind: "walreceiver" });
    if (receiver === undefined) throw new Error("nothing receives on the standby");
    process.kill(receiver, "SIGSTOP");
    return () => void process.kill(receiver, "SIGCONT");
  },
};

export const PARTITION: Fault = {
  name: "partition",
  words: "nothing passes between the standby and the rest, the probe included",
  begin(pair) {
    const links = [pair.replication, pair.access];
    for (const link of links) link.set("cut");
    return Promise.resolve(() => {
      for (const link of links) link.set("whole");
    });
  },
};

export const BACKLOG: Fault = {
  name: "backlog",
  words: "more is written than the link to the standby carries",
  begin(pair, witness) {
    witness.writeMuch(true);
    pair.replication.set({ bytesPerSecond: SLOW_BYTES_PER_SECOND });
    return Promise.resolve(() => {
      witness.writeMuch(false);
      pair.replication.set("whole");
    });
  },
};
