// The simulated stores as a process of their own, so that their processor time is not the observer's. Arguments: the tape's file and how
// many stores. It says its ports on a line, as JSON, and ends with its standard input.
import { readFileSync } from "node:fs";
import type { AnswerTape } from "./answer-tape.ts";
import { SimulatedFleet } from "./simulated-fleet.ts";

const [, , tapeFile = "", stores = ""] = process.argv;
const fleet = await SimulatedFleet.start(JSON.parse(readFileSync(tapeFile, "utf8")) as AnswerTape, Number(stores));
process.stdout.write(`${JSON.stringify(fleet.ports)}\n`);
process.stdin.on("end", () => process.exit(0)).resume();
