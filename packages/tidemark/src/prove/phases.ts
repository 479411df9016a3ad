/** What a proof is at, for whoever shows its progress. */
export type PhaseName =
  | "starting the stack"
  | "load before the fault"
  | "through the fault"
  | "load after the fault"
  | "waiting until all is applied"
  | "counting"
  | "stopping the stack";

export interface ProgressListener {
  /** A phase begins; `expectedMs` is how long it should take, where that is known. */
  phase(name: PhaseName, expectedMs?: number): void;
  counts(acknowledged: number, scheduled: number): void;
  /** Something worth a line of its own. */
  note(text: string): void;
}
