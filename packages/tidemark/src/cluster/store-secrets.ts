// The passwords of Tidemark's own roles in a store's PostgreSQL. Every agent needs the same ones without asking another,
// so they are derived from the internal token, which all roles of a deployment hold.
import { createHmac } from "node:crypto";
import { Redacted } from "@tidemark/kernel/redacted";

/** Owns the cluster; used by the agents only. */
export const SUPERUSER = "tidemark_admin";
/** Receives WAL and takes base backups. */
export const REPLICATION_USER = "tidemark_replication";

/** Looks at the servers, and writes the canary: it may read what monitoring needs, and write that one table. */
export const OBSERVER_USER = "tidemark_observer";

/** The password of `role` in `store`. Deterministic: replacing the internal token needs the roles' passwords to be changed too. */
export function derivedPassword(
  token: Redacted<string>,
  store: string,
  role: typeof SUPERUSER | typeof REPLICATION_USER | typeof OBSERVER_USER,
): Redacted<string> {
  return new Redacted(createHmac("sha256", token.reveal()).update(`tidemark role password\0${store}\0${role}`).digest("base64url"));
}
