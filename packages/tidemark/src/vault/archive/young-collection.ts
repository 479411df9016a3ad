// What zlib, the cipher and the stores leave behind is garbage of megabytes with hardly any JavaScript heap to it: the engine
// would collect it when 64 MiB have come together. Asked to look at its young objects, which takes about a millisecond, it
// gives them back after every segment.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

type Collect = (options: { readonly type: "minor" }) => void;

let collect: Collect | undefined;

/** Collects the young generation of this thread. */
export function collectYoung(): void {
  if (collect === undefined) {
    setFlagsFromString("--expose-gc");
    collect = runInNewContext("gc") as Collect;
  }
  collect({ type: "minor" });
}
