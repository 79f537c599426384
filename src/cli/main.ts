/** The command `sluicegate`. */
import { CommanderError } from "commander";
import { ClientError, EXIT } from "./failure.ts";
import { OptionError } from "./options.ts";
import { program } from "./program.ts";
import { wordsFor } from "./words.ts";

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // It has said what is wrong already; to have shown the help is no failure.
    process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage;
  } else {
    // One line for a person; the rest is in the log.
    process.stderr.write(`sluicegate: ${wordsFor(error)}\n`);
    process.exitCode =
      error instanceof ClientError ? error.exitCode : error instanceof OptionError ? EXIT.usage : EXIT.failed;
  }
}
