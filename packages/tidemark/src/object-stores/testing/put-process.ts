// Puts objects into a folder store, for tests that kill it or give it too little room. Arguments: the folder, `endless` or
// `fill`, bytes of an object. Says `put <key>` when an object is stored and `error <code>` when one is not.
import { writeSync } from "node:fs";
import { openFolderStore } from "../folder-store.ts";
import { objectBody } from "./object-body.ts";
import { storeWorld } from "./store-world.ts";

const [directory = "", mode = "", size = "0"] = process.argv.slice(2);
const say = (line: string): void => void writeSync(1, `${line}\n`);
const store = await openFolderStore({ kind: "folder", directory }, storeWorld());
say(`opened ${store.abilities.coldReads ? "cold" : "cached"}`);
for (let index = 0; ; index++) {
  const key = `folder-${index % 7}/object-${index}`;
  try {
    await store.put(key, objectBody(key, Number(size)), { ifAbsent: index % 2 === 0 });
    say(`put ${key}`);
  } catch (error) {
    say(`error ${String((error as { code?: unknown }).code)}`);
    if (mode === "endless") continue;
    // Room again: the same object goes in, after the first one has gone.
    await store.delete("folder-0/object-0");
    await store.put(key, objectBody(key, Number(size)));
    say(`put ${key}`);
    break;
  }
}
for await (const { key } of store.list("")) {
  const whole = Buffer.compare(await store.get(key), objectBody(key, Number(size))) === 0;
  say(`${whole ? "whole" : "broken"} ${key}`);
}
