// The one entry point: the commands of docs/cli.md. Roles are commands as well, started by the supervisor or by hand.
import { runCommandLine } from "./cli/command-line.ts";

process.exitCode = await runCommandLine(process.argv.slice(2));
