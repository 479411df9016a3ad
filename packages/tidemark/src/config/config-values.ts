// Values of the file as used: milliseconds, bytes, addresses, absolute paths, failure domains.
import { join, resolve } from "node:path";
import { assert } from "@tidemark/kernel/errors";
import { parseDuration } from "@tidemark/kernel/duration";
import type { FailureDomain } from "../objectives/failure-domain.ts";
import type { AddressText, DurationText, SizeText } from "./config-file.ts";
import { isLoopback, parseAddress, type ListenAddress } from "./listen-address.ts";
import { parseSize } from "./size.ts";

/** The machine's name in failure domains when nothing else is known: loopback addresses lie on this machine. */
export const THIS_MACHINE = "localhost";

/** Milliseconds of a duration that fits the schema. */
export function durationMs(value: DurationText | undefined, byDefault: string): number {
  const given = value ?? byDefault;
  return typeof given === "number" ? given : parseDuration(given);
}

/** Bytes of a size that fits the schema. */
export function sizeBytes(value: SizeText | undefined, byDefault: string): number {
  const given = value ?? byDefault;
  return typeof given === "number" ? given : parseSize(given);
}

/** The address of a text that was checked before. */
export function addressOf(value: AddressText): ListenAddress {
  const address = parseAddress(value);
  assert(address !== undefined, `the address ${value} was checked`);
  return address;
}

/** What relative paths are relative to, and where paths are by default. */
export interface Places {
  /** Folder of tidemark.yaml. */
  readonly folder: string;
  readonly state: string;
}

export function pathOf(given: string | undefined, inState: string, places: Places): string {
  return given === undefined ? join(places.state, inState) : resolve(places.folder, given);
}

/** The failure domain of what is reached at `address` and called `name`. */
export function domainAt(address: AddressText, name: string, stated: FailureDomain | undefined): FailureDomain {
  const { host } = addressOf(address);
  return { process: name, machine: isLoopback(host) ? THIS_MACHINE : host, ...stated };
}
