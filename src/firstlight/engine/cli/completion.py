"""``firstlight completion SHELL``: a script that completes commands, configs, runs, classes and flags.

The flags are written into the script, because asking Python takes seconds at every key. The shell itself looks up
configs and runs.
"""

import contextlib
import inspect
import io
import re
import shlex
from typing import Any, Literal, get_args, get_origin

from firstlight.engine.callbacks import Checkpoints
from firstlight.engine.cli.commands import COMMANDS, STAGES, function_of
from firstlight.engine.cli.help import command_parser
from firstlight.engine.cli.schema import fit_parser
from firstlight.engine.command.classes import choices
from firstlight.engine.command.configs import config_folders
from firstlight.engine.command.parser import CHOICES
from firstlight.engine.command.request import CLASSES
from firstlight.engine.program import program

SCRIPT = """\
# Completion of {program} for {shell}, made by: {program} completion {shell}
_firstlight_configs() {{
    local folder
    for folder in configs {configs}; do
        (cd "$folder/$1" 2>/dev/null && find . -name '*.yaml' ! -path './sweeps/*' | sed 's|^[.]/||; s|[.]yaml$||')
    done
}}
_firstlight_runs() {{
    (cd lightning_logs 2>/dev/null && find . -mindepth 1 -maxdepth 2 -type d | sed 's|^[.]/||')
}}
_firstlight() {{
    local current="$2" before="$3" command="${{COMP_WORDS[1]}}" words=""
    if [ "$current" = "=" ]; then current=""; fi  # --config=NAME is three words
    if [ "$before" = "=" ]; then before="${{COMP_WORDS[COMP_CWORD-2]}}"; fi
    if [ "$COMP_CWORD" = 1 ]; then before=; fi
    case "$command:$before" in
        *:) words="{commands}" ;;
        *:-c|*:--config) words="$(_firstlight_configs)" ;;
        *:--sweep) words="$(_firstlight_configs sweeps)" ;;
        *:--run|*:--resume) words="$(_firstlight_runs)" ;;
{values}
        *)
            case "$command" in
                {stages}) words="{flags}" ;;
                sweep) words="{flags}" ;;
                check) words="$(_firstlight_configs)" ;;
                describe) words="{models} $(_firstlight_configs)" ;;
                runs) words="diff rm archive $(_firstlight_runs)" ;;
                reproduce|export|pictures) words="$(_firstlight_runs)" ;;
                completion) words="bash zsh" ;;
            esac
            case "$command:$current" in
{own}
            esac ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _firstlight {program}
"""
ZSH = "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"


def completion(words: list[str]) -> None:
    """Print the script."""
    parser = command_parser("completion")
    parser.add_argument("shell", choices=["bash", "zsh"])
    shell = parser.parse_args(words).shell
    flags = {f"--{key}" for key in fit_parser().get_defaults().keys(branches=True)}
    flags |= {"--help", "--json", "--print_config", "--test"}
    values = {"--trainer.accelerator": {"auto", "cpu", "gpu"}}
    for key in CLASSES:
        values[f"--{key}"] = {kind.__name__ for kind in choices(key)}
        for kind in choices(key):
            for name, parameter in inspect.signature(kind).parameters.items():
                flags.add(f"--{key}.{name}")
                values.setdefault(f"--{key}.{name}", set()).update(_literals(parameter.annotation))
    for name, parameter in inspect.signature(Checkpoints).parameters.items():
        values[f"--checkpoint.{name}"] = _literals(parameter.annotation)
    values |= {f"--{name}": _literals(kind) for name, kind in CHOICES.items()}
    usages = {command: _usage(command) for command in COMMANDS if command not in STAGES}
    chosen = [
        (f"{command}:{flag}", names.split(","))
        for command, usage in usages.items()
        for flag, names in re.findall(r"(--[\w.]+)\s+\{(.+?)\}", usage)
    ]
    chosen += [(f"*:{flag}", sorted(names)) for flag, names in values.items()]
    own = [
        f'                {command}:-*) words="$words --help --json {" ".join(re.findall(r"--[a-z_]+", usage))}" ;;'
        for command, usage in usages.items()
    ]
    script = SCRIPT.format(
        shell=shell,
        program=program(),
        configs=shlex.quote(str(config_folders()[-1])),
        commands=" ".join(COMMANDS),
        stages="|".join(STAGES),
        values="\n".join(f'        {typed}) words="{" ".join(names)}" ;;' for typed, names in chosen if names),
        own="\n".join(own),
        flags=" ".join(sorted(flags)),
        models=" ".join(sorted(values["--model"])),
    )
    print((ZSH if shell == "zsh" else "") + script, end="")


def _usage(command: str) -> str:
    """Return the first paragraph of a command's help, which has all its flags."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        function_of(command)(["--help"])
    return text.getvalue().partition("\n\n")[0]


def _literals(annotation: Any) -> set[str]:
    """Return the texts that an annotation allows: those of ``Literal``, also as a part of another type."""
    parts = get_args(annotation)
    if get_origin(annotation) is Literal:
        return {part for part in parts if isinstance(part, str)}
    return set().union(*map(_literals, parts))
