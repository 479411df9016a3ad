// Puts judgement together: the file, the engine, the outbox, the courier.
import type { Clock } from "@tidemark/kernel/clock";
import type { Logger } from "@tidemark/kernel/logger";
import type { Random } from "@tidemark/kernel/random";
import { uuidV7 } from "@tidemark/kernel/random";
import { AlertFile } from "./alert-file.ts";
import { Courier, type CourierWorld } from "./courier.ts";
import { JudgementEngine, type JudgementWorld } from "./judgement-engine.ts";
import type { JudgementSettings } from "./judgement-settings.ts";
import { Outbox } from "./outbox.ts";
import type { Receiver } from "./receiver.ts";

export interface OpenJudgement {
  readonly engine: JudgementEngine;
  /** Delivers what the engine owes; run it as a service beside the engine. */
  readonly courier: Courier;
  readonly close: () => void;
}

/**
 * Opens `file` (made when it is not there; `:memory:` for tests), whose folder is there. One process at a time.
 * Throws TM-ALERT-STORE and TM-ALERT-SETTING.
 */
export function openJudgement(options: {
  readonly file: string;
  readonly settings: Omit<JudgementSettings, "receivers">;
  readonly receivers: readonly Receiver[];
  readonly world: {
    readonly clock: Clock;
    readonly random: Random;
    readonly logger: Logger;
    readonly audit: JudgementWorld["audit"];
    readonly checkpoint?: (name: Parameters<NonNullable<JudgementWorld["checkpoint"] | CourierWorld["checkpoint"]>>[0]) => void;
  };
}): OpenJudgement {
  const { world, receivers } = options;
  const file = new AlertFile(options.file, uuidV7(world.clock.wallMs(), world.random));
  try {
    const outbox = new Outbox(file);
    const settings: JudgementSettings = {
      ...options.settings,
      receivers: receivers.map(({ name, severities }) => ({ name, ...(severities === undefined ? {} : { severities }) })),
    };
    const engine = new JudgementEngine({ file, outbox, settings, world });
    const courier = new Courier({ outbox, receivers, told: () => engine.told(), world });
    return { engine, courier, close: () => file.close() };
  } catch (error) {
    file.close();
    throw error;
  }
}
