import type { PostgresMajor } from "../binaries.ts";
import { DEFAULT_MAJOR } from "../binaries.ts";

const OTHERS: readonly PostgresMajor[] = [15, 16, 17];
const MINUTE_MS = 60_000;

/**
 * The major versions for tests of what differs between them: those that TIDEMARK_TEST_PG_MAJORS names (`15,16,17,18`);
 * otherwise the default one and one other, in turn from minute to minute, so that a run costs two and many runs see all.
 */
export function testMajors(): readonly PostgresMajor[] {
  const named = process.env["TIDEMARK_TEST_PG_MAJORS"];
  if (named !== undefined && named !== "") return named.split(",").map((major) => Number(major) as PostgresMajor);
  return [DEFAULT_MAJOR, OTHERS[Math.floor(Date.now() / MINUTE_MS) % OTHERS.length] as PostgresMajor];
}
