/** From a role to its supervisor, over the IPC channel. When the channel closes, the role stops by itself. */
export type FromRole =
  | { readonly type: "ready"; readonly address?: string }
  /** A process that the role started: the gateway's applier. `pid` null when it has ended. */
  | { readonly type: "child"; readonly name: string; readonly pid: number | null }
  /** Said before it ends because of an error. */
  | { readonly type: "failed"; readonly code: string; readonly message: string; readonly hint: string };

/** Whether a message of the channel is one of these. */
export function isFromRole(message: unknown): message is FromRole {
  const type = (message as { type?: unknown } | null)?.type;
  return type === "ready" || type === "child" || type === "failed";
}
