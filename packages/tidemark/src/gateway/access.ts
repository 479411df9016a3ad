import { hash, timingSafeEqual } from "node:crypto";
import type { Redacted } from "@tidemark/kernel/redacted";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { GatewayConfig, TokenScope } from "../config/config.ts";
import { problem, type Problem } from "./problem.ts";

/** Who a request comes from. */
export interface Caller {
  /** The token's name; scope of its idempotency keys, `by` of what it decides. */
  readonly name: string;
  readonly scopes: readonly TokenScope[];
}

/** A token as it was read from its file. */
export interface LoadedToken extends Caller {
  readonly secret: Redacted<string>;
}

const ALL_SCOPES: readonly TokenScope[] = ["write", "read", "operate"];
/** The caller where no token is configured, which is allowed on loopback alone. */
const ANYBODY: Caller = { name: "anybody", scopes: ALL_SCOPES };

/** Knows the tokens by their SHA-256, so that comparing takes the same time whatever was sent. */
export class Access {
  readonly #known: readonly { digest: Uint8Array; caller: Caller }[];
  readonly #open: boolean;

  /** @param tokens of the configuration and those that the roles use among themselves. @param open nobody needs a token. */
  constructor(tokens: readonly LoadedToken[], open: boolean) {
    this.#open = open;
    this.#known = tokens.map(({ name, scopes, secret }) => ({
      digest: hash("sha256", secret.reveal(), "buffer"),
      caller: { name, scopes },
    }));
  }

  /** The caller of a request, or the problem to answer. `scope` undefined: the address is open to all. */
  admit(authorization: string | undefined, scope: TokenScope): Caller | Problem {
    const caller = this.#caller(authorization);
    if (caller === undefined)
      return problem("TM-GATEWAY-UNAUTHORIZED", authorization === undefined ? "the request has no token" : "the token is not known");
    if (!caller.scopes.includes(scope)) return problem("TM-GATEWAY-FORBIDDEN", `the token "${caller.name}" lacks the scope "${scope}"`);
    return caller;
  }

  #caller(authorization: string | undefined): Caller | undefined {
    if (authorization === undefined) return this.#open ? ANYBODY : undefined;
    if (!/^bearer /i.test(authorization)) return undefined;
    const digest = hash("sha256", authorization.slice(7).trim(), "buffer");
    let found: Caller | undefined;
    // No early exit: every known token is compared.
    for (const { digest: known, caller } of this.#known) if (timingSafeEqual(known, digest)) found = caller;
    return found;
  }
}

/** Whether `host` cannot be reached from another machine. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host === "[::1]" || /^127(?:\.\d{1,3}){3}$/.test(host);
}

/** Throws TM-GATEWAY-ADDRESS when the gateway would be reachable from outside without tokens, or without TLS. */
export function demandSafeAddress(gateway: Pick<GatewayConfig, "host" | "tls" | "tokens">): void {
  if (isLoopback(gateway.host)) return;
  const lacking = [...(gateway.tokens.length === 0 ? ["gateway.tokens"] : []), ...(gateway.tls === undefined ? ["gateway.tls"] : [])];
  if (lacking.length > 0)
    throw new TidemarkError("TM-GATEWAY-ADDRESS", `refused to listen on ${gateway.host} without ${lacking.join(" and ")}`);
}
