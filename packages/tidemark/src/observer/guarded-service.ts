import type { Clock } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Service } from "@tidemark/kernel/service";

/** How a service stands, for a status. */
export interface ServiceCondition {
  readonly running: boolean;
  /** Why it ended last; it may run again since. */
  readonly fault?: { readonly code?: string; readonly what: string; readonly atMs: number };
  /** How often it ended by a fault. */
  readonly faults: number;
}

/** A service that remembers how it ended. */
export class GuardedService implements Service {
  readonly name: string;
  readonly #service: Service;
  readonly #clock: Clock;
  #condition: ServiceCondition = { running: false, faults: 0 };

  constructor(service: Service, clock: Clock) {
    this.name = service.name;
    this.#service = service;
    this.#clock = clock;
  }

  get condition(): ServiceCondition {
    return this.#condition;
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#condition = { ...this.#condition, running: true };
    try {
      await this.#service.run(signal);
      this.#condition = { ...this.#condition, running: false };
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error);
      const code = error instanceof TidemarkError ? { code: error.code } : {};
      this.#condition = { running: false, fault: { ...code, what, atMs: this.#clock.wallMs() }, faults: this.#condition.faults + 1 };
      throw error;
    }
  }
}
