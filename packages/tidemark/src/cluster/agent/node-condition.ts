import type { Logger } from "@tidemark/kernel/logger";
import type { NodeState } from "../agent-status.ts";
import { MOST_WARNINGS } from "../agent-status.ts";

/** What a node is at, with the warnings of late; every change is logged and told. */
export class NodeCondition {
  readonly #logger: Logger;
  readonly #onChange: () => void;
  readonly #warnings: string[] = [];
  #state: NodeState = "starting";
  #detail: string | undefined;
  /** What went wrong last, and in which state: shown while the same is tried again. */
  #fault: { readonly state: NodeState; readonly detail: string } | undefined;

  constructor(logger: Logger, onChange: () => void) {
    this.#logger = logger;
    this.#onChange = onChange;
  }

  get state(): NodeState {
    return this.#state;
  }

  get detail(): string | undefined {
    return this.#detail;
  }

  /** The newest {@link MOST_WARNINGS}, oldest first. */
  get warnings(): readonly string[] {
    return this.#warnings;
  }

  enter(state: NodeState, given?: string): void {
    if (state === "primary" || state === "standby") this.#fault = undefined;
    const detail = given ?? (this.#fault?.state === state ? this.#fault.detail : undefined);
    const changed = this.#state !== state || this.#detail !== detail;
    this.#state = state;
    this.#detail = detail;
    if (!changed) return;
    this.#logger.info({ state, ...(detail === undefined ? {} : { detail }) }, "the node's state changed");
    this.#onChange();
  }

  /** A fault that does not change the state. */
  note(detail: string): void {
    this.#detail = detail;
    this.#fault = { state: this.#state, detail };
    this.#onChange();
  }

  warn(warning: string): void {
    this.#logger.warn({}, warning);
    this.#warnings.push(warning);
    if (this.#warnings.length > MOST_WARNINGS) this.#warnings.shift();
  }
}

/** The most causes behind a fault that are told. */
const MOST_CAUSES = 3;

/** A fault with what caused it, in one line: an operator sees it in the status. */
export function faultWords(error: unknown): string {
  const words: string[] = [];
  for (let cause = error; cause !== undefined && words.length <= MOST_CAUSES; cause = cause instanceof Error ? cause.cause : undefined) {
    words.push((cause instanceof Error ? cause.message : JSON.stringify(cause)).split("\n")[0] ?? "");
  }
  return words.join(": ");
}
