// Writes history in a process of its own, to be killed: one value a second of made-up time, the number of the second, and says
// after each which one it was. Arguments: file, first second, seconds. After a fault it waits for a line.
import { readSync } from "node:fs";
import { known, unknown } from "../../probes/probe-result.ts";
import { History } from "../history.ts";

const [path = "", first = "0", count = "0"] = process.argv.slice(2);
const history = new History(path, {
  onFault: (error) => {
    process.stdout.write(`${error.code}\n`);
    readSync(0, Buffer.alloc(1));
  },
});
const series = Array.from({ length: 40 }, (_, index) => history.series({ metric: "test", labels: { number: String(index) } }) ?? 0);
for (let second = Number(first); second < Number(first) + Number(count); second++) {
  const atMs = second * 1_000;
  const figure = second % 10 === 9 ? unknown<number>("every tenth", atMs) : known(second, { atMs, method: "observed", errorMs: 0 });
  history.record(
    atMs,
    series.map((one) => ({ series: one, figure })),
  );
  if (history.state().writing) process.stdout.write(`${second}\n`);
}
const { droppedSamples, writing } = history.state();
process.stdout.write(`dropped ${droppedSamples}, ${writing ? "writing" : "not writing"}\ndone\n`);
process.stdin.resume();
