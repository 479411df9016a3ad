// A process that writes history is killed, and runs into a full disk.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { known } from "../probes/probe-result.ts";
import { History } from "./history.ts";

const PROGRAM = fileURLToPath(new URL("testing/history-process.ts", import.meta.url));
const NODE = ["--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning"];
/** A second at the beginning of an hour. */
const FIRST = 1_800_000_000;

let folder = "";
let path = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tidemark-history-crash-"));
  path = join(folder, "history.sqlite");
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Runs until it said `until`, kills it, and returns what it said. */
async function runAndKill(child: ChildProcess, until: (line: string) => boolean): Promise<string[]> {
  const lines: string[] = [];
  const ended = once(child, "exit");
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    lines.push(line);
    if (until(line) || line === "done") child.kill("SIGKILL");
  }
  await ended;
  return lines;
}

function writer(first: number, count: number): ChildProcess {
  return spawn(process.execPath, [...NODE, PROGRAM, path, String(first), String(count)], { stdio: ["pipe", "pipe", "inherit"] });
}

/** Known and unknown seconds of a series, by seconds and by hours. */
function look(history: History, number: number): readonly [known: number, unknown: number, sum: number][] {
  return [5_000, 3].map((points) => {
    const { buckets } = history.range(
      { metric: "test", labels: { number: String(number) } },
      { fromMs: FIRST * 1_000, toMs: (FIRST + 7_200) * 1_000, points },
    );
    return [
      buckets.reduce((sum, one) => sum + one.known, 0),
      buckets.reduce((sum, one) => sum + one.unknown, 0),
      buckets.reduce((sum, one) => sum + (one.values?.sum ?? 0), 0),
    ];
  });
}

describe("history of a process that is killed", () => {
  it("has every second that was written once, whenever it is killed and however often", { timeout: 60_000 }, async () => {
    let next = FIRST;
    for (const killAfter of [3, 59, 61, 75, 400, 1_500]) {
      const from = next;
      const lines = await runAndKill(writer(from, 5_000), (line) => Number(line) >= from + killAfter);
      // It may have written more than it could say.
      const last = Number(lines.findLast((line) => line !== "done"));
      const history = new History(path);
      const [bySecond, byHour] = look(history, 13);
      const [known = 0, unknown = 0, sum = 0] = bySecond ?? [];
      history.close();
      next = FIRST + known + unknown;
      expect(next).toBeGreaterThan(last);
      const written = Array.from({ length: next - FIRST }, (_, index) => FIRST + index);
      expect(unknown).toBe(written.filter((second) => second % 10 === 9).length);
      expect(sum).toBe(written.filter((second) => second % 10 !== 9).reduce((all, one) => all + one, 0));
      expect(byHour).toEqual(bySecond);
    }
  });

  // Needs prlimit, which is Linux's.
  it.runIf(process.platform === "linux")(
    "says that nothing can be written, goes on without, and has everything once there is room again",
    { timeout: 60_000 },
    async () => {
      // The kernel refuses to let a file of this process grow beyond so many KiB, until the limit is lifted.
      const command = `ulimit -S -f 400; exec "$0" "$@"`;
      const child = spawn("bash", ["-c", command, process.execPath, ...NODE, PROGRAM, path, String(FIRST), "3000"], {
        stdio: ["pipe", "pipe", "inherit"],
      });
      let faults = 0;
      const lines = await runAndKill(child, (line) => {
        if (!line.startsWith("TM-HISTORY-")) return false;
        faults++;
        execFileSync("prlimit", ["--pid", String(child.pid), "--fsize=unlimited:unlimited"]);
        child.stdin?.write("\n");
        return false;
      });
      expect(faults).toBeGreaterThan(0);
      expect(lines.slice(-2)).toEqual(["dropped 0, writing", "done"]);
      const history = new History(path);
      const [bySecond, byHour] = look(history, 13);
      expect(bySecond?.slice(0, 2)).toEqual([2_700, 300]);
      expect(byHour).toEqual(bySecond);
      history.close();
    },
  );

  it("says that its room is full, and keeps what was written before", () => {
    const faults: string[] = [];
    const history = new History(path, { mostBytes: 200_000, onFault: (error) => void faults.push(error.code) });
    const series = Array.from({ length: 400 }, (_, index) => history.series({ metric: "test", labels: { number: String(index) } }) ?? 0);
    let second = FIRST;
    const record = (): void => {
      history.record(
        second * 1_000,
        series.map((one) => ({ series: one, figure: known(second, { atMs: 0, method: "observed" as const, errorMs: 0 }) })),
      );
      second++;
    };
    while (faults.length === 0 && second < FIRST + 3_000) record();
    expect(faults).toEqual(["TM-HISTORY-DISK-FULL"]);
    expect(history.state()).toMatchObject({ writing: false, fault: { code: "TM-HISTORY-DISK-FULL" } });
    const full = second;
    // In memory there is room for some minutes, and no more.
    while (second < full + 1_200) record();
    expect(history.state().droppedSamples).toBeGreaterThan(0);
    expect(faults).toEqual(["TM-HISTORY-DISK-FULL"]);
    history.close();
    const roomier = new History(path);
    const [bySecond, byHour] = look(roomier, 13);
    expect(bySecond?.[0]).toBeGreaterThanOrEqual(full - FIRST - 1);
    expect(byHour).toEqual(bySecond);
    roomier.close();
  });
});
