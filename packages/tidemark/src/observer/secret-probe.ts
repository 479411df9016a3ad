import type { Clock } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import { awayReading } from "../probes/away-reading.ts";
import type { Probe, ProbeReading } from "../probes/probe.ts";

export interface SecretProbeOptions {
  /** As the probe will say. */
  readonly name: string;
  readonly store: string;
  /** Reads the secrets and makes the probe. Rejects with a TidemarkError that names the file and never what is in it. */
  readonly make: () => Promise<Probe>;
  readonly clock: Clock;
}

/** A probe whose secrets lie in files: these are read when it looks first, and again after it was refused, so that a changed one counts. */
export class SecretProbe implements Probe {
  readonly name: string;
  readonly store: string;
  readonly #options: SecretProbeOptions;
  #probe: Probe | undefined;
  #closed = false;

  constructor(options: SecretProbeOptions) {
    this.#options = options;
    this.name = options.name;
    this.store = options.store;
  }

  async probe(signal: AbortSignal): Promise<ProbeReading> {
    const { make, clock } = this.#options;
    if (this.#closed) return awayReading(clock, "TM-PROBE-AWAY", "the probe was closed");
    let probe = this.#probe;
    if (probe === undefined) {
      try {
        probe = await make();
      } catch (error) {
        if (!(error instanceof TidemarkError)) throw error;
        return awayReading(clock, "TM-PROBE-DENIED", `it was not asked: ${error.message}`);
      }
      if (this.#closed) {
        await probe.close();
        return awayReading(clock, "TM-PROBE-AWAY", "the probe was closed");
      }
      this.#probe = probe;
    }
    const reading = await probe.probe(signal);
    if (!reading.ok && reading.code === "TM-PROBE-DENIED") {
      this.#probe = undefined;
      await probe.close();
    }
    return reading;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const probe = this.#probe;
    this.#probe = undefined;
    await probe?.close();
  }
}
