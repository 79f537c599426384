/** Completion scripts for shells, made of the program itself, so that they can't name what there is not. */
import type { Command } from "commander";
import { UsageError } from "./failure.ts";

interface Place {
  /** The words that lead here: `volume create`; empty at the top. */
  readonly path: string;
  readonly commands: readonly string[];
  readonly options: readonly string[];
}

/** The script for bash, zsh or fish. Throws a UsageError for another shell. */
export function completionScript(program: Command, shell: string): string {
  const places = placesOf(program, "");
  if (shell === "bash") return bash(places);
  if (shell === "zsh") return zsh(places);
  if (shell === "fish") return fish(program, places);
  throw new UsageError(`there is completion for bash, zsh and fish, and not for ${shell}`);
}

function placesOf(command: Command, path: string): Place[] {
  const commands = command.commands.map((each) => each.name());
  const options = command.options.flatMap(({ long }) => (long === undefined || long === null ? [] : [long]));
  return [
    { path, commands, options },
    ...command.commands.flatMap((each) => placesOf(each, `${path} ${each.name()}`.trim())),
  ];
}

/** A function that puts into `commands` and `options` what there is at a place; bash and zsh understand it. */
function placeFunction(places: readonly Place[]): string {
  const cases = places.map(
    ({ path, commands, options }) =>
      `    "${path}") commands="${commands.join(" ")}"; options="${[...options, "--json", "--help"].join(" ")}" ;;`,
  );
  return `_sluicegate_place() {
  case "$1" in
${cases.join("\n")}
    *) return 1 ;;
  esac
}
`;
}

function bash(places: readonly Place[]): string {
  return `_sluicegate() {
  local current="\${COMP_WORDS[COMP_CWORD]}" path="" word commands options i
  _sluicegate_place "" || return
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    [[ " $commands " == *" $word "* ]] || continue
    path="\${path:+$path }$word"
    _sluicegate_place "$path" || return
  done
  if [[ "$current" == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$current"))
  elif [[ -n "$commands" ]]; then
    COMPREPLY=($(compgen -W "$commands" -- "$current"))
  else
    COMPREPLY=($(compgen -f -- "$current"))
  fi
}
${placeFunction(places)}complete -F _sluicegate sluicegate
`;
}

/** To be sourced, or to lie in a folder of $fpath as `_sluicegate`. */
function zsh(places: readonly Place[]): string {
  return `#compdef sluicegate
${placeFunction(places)}_sluicegate() {
  local place="" word commands options i
  _sluicegate_place "" || return
  for ((i = 2; i < CURRENT; i++)); do
    word="\${words[i]}"
    [[ " $commands " == *" $word "* ]] || continue
    place="\${place:+$place }$word"
    _sluicegate_place "$place" || return
  done
  if [[ "\${words[CURRENT]}" == -* ]]; then
    compadd -- \${=options}
  elif [[ -n "$commands" ]]; then
    compadd -- \${=commands}
  else
    _files
  fi
}
if [[ "\${funcstack[1]}" == _sluicegate ]]; then
  _sluicegate "$@"
else
  compdef _sluicegate sluicegate
fi
`;
}

function fish(program: Command, places: readonly Place[]): string {
  const lines = ["complete -c sluicegate -f"];
  const quoted = (text: string) => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
  const describe = (command: Command, path: readonly string[], places_: readonly Place[]) => {
    const names = command.commands.map((each) => each.name());
    const seen = path.map((word) => `__fish_seen_subcommand_from ${word}`);
    const none = names.length > 0 ? [`not __fish_seen_subcommand_from ${names.join(" ")}`] : [];
    for (const each of command.commands) {
      const when = [...seen, ...none].join("; and ");
      lines.push(
        `complete -c sluicegate -n ${quoted(when)} -a ${each.name()} -d ${quoted(each.description())}`,
      );
      describe(each, [...path, each.name()], places_);
    }
    for (const { long, description } of command.options) {
      if (long === undefined || long === null) continue;
      const when = seen.length === 0 ? "" : ` -n ${quoted(seen.join("; and "))}`;
      lines.push(`complete -c sluicegate${when} -l ${long.slice(2)} -d ${quoted(description)}`);
    }
  };
  describe(program, [], places);
  return `${lines.join("\n")}\n`;
}
