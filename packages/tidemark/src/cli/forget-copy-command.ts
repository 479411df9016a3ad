import { Command, InvalidArgumentError } from "commander";
import { EXIT } from "../platform/exit-codes.ts";
import type { CommandContext } from "./command-line.ts";
import { askControl, whoAsks } from "./control-call.ts";
import { withPlace, type PlaceOptions } from "./place.ts";
import { wrap } from "./terminal.ts";

interface CopyPlace {
  readonly store: string;
  readonly copy: string;
}

/** `tidemark forget-copy`. */
export function forgetCopyCommand(context: CommandContext): Command {
  return withPlace(new Command("forget-copy"))
    .description("Says that a copy was taken away on purpose: its alert ends, and it is not missed any more. Seen again, it counts again.")
    .argument("<store/copy>", "the copy, as its alert names it", placeArgument)
    .requiredOption("--why <text>", "the reason, for the audit log")
    .option("--who <name>", "who asks for it (default: the user of this system)")
    .addHelpText(
      "after",
      `
Example:
  tidemark forget-copy orders-db/pg3 --why "replaced by pg4"

Exit codes: 0 it is forgotten · 1 no such copy was ever seen
  69 control does not answer`,
    )
    .action(async ({ store, copy }: CopyPlace, { why, who, ...place }: PlaceOptions & { why: string; who?: string }) => {
      const { out, paint, columns } = context.terminal;
      const answer = await askControl(place, { path: "/v1/copies/forget", body: { store, copy, who: whoAsks(who), why } });
      const known = answer["known"] === true;
      const words = known ? `${store}/${copy} is not missed any more` : `no copy ${store}/${copy} was ever seen`;
      out(`${known ? paint.good("✓") : paint.warn("–")} ${wrap(words, columns - 2, "  ")}`);
      context.end(known ? EXIT.ok : EXIT.failed);
    });
}

/** For commander: a copy's name may have slashes, a store's has none. */
function placeArgument(text: string): CopyPlace {
  const at = text.indexOf("/");
  if (at < 1 || at === text.length - 1) throw new InvalidArgumentError("write the store and the copy, such as orders-db/pg3.");
  return { store: text.slice(0, at), copy: text.slice(at + 1) };
}
