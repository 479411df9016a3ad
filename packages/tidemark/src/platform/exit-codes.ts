/** How processes of Tidemark end; docs/cli.md describes each. Where sysexits(3) has a number for it, it is that one. */
export const EXIT = {
  ok: 0,
  /** It was done, and the answer is no: a log is damaged, a proof does not hold, something was lost. */
  failed: 1,
  /** `prove`: what was lost is what was known to be lost before. */
  lossStated: 3,
  /** Wrong use of a command (EX_USAGE). */
  usage: 64,
  /** A file is not what it should be (EX_DATAERR). */
  data: 65,
  /** What is asked for does not run or cannot be reached (EX_UNAVAILABLE). */
  unavailable: 69,
  /** FAIL-STOP, or a fault that starting again does not cure (EX_SOFTWARE): the supervisor does not start the role again. */
  failStop: 70,
  /** A fault that may pass (EX_TEMPFAIL). */
  temporary: 75,
  /** The configuration has problems (EX_CONFIG). */
  configuration: 78,
  /** Ctrl-C. */
  interrupted: 130,
} as const;
