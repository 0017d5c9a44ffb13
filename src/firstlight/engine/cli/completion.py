"""``firstlight completion SHELL``: a script that completes verbs, configs, runs, classes and flags at once.

The flags are written into the script, for a completion that asks Python takes seconds at every key.
Configs and runs are looked up by the shell itself.
"""

import inspect
import shlex

from firstlight.engine.cli import VERBS
from firstlight.engine.cli.schema import fit_parser
from firstlight.engine.cli.verbs import Parser
from firstlight.engine.command.configs import folders
from firstlight.engine.command.explain import classes

__all__ = ["completion"]

SCRIPT = """\
# Completion of firstlight for {shell}, made by: firstlight completion {shell}
_firstlight_configs() {{
    local folder
    for folder in configs {configs}; do
        (cd "$folder" 2>/dev/null && find . -name '*.yaml' ! -path './sweeps/*' | sed 's|^[.]/||; s|[.]yaml$||')
    done
}}
_firstlight_sweeps() {{
    local folder
    for folder in configs {configs}; do
        (cd "$folder/sweeps" 2>/dev/null && find . -name '*.yaml' | sed 's|^[.]/||; s|[.]yaml$||')
    done
}}
_firstlight_runs() {{
    (cd lightning_logs 2>/dev/null && find . -mindepth 1 -maxdepth 2 -type d | sed 's|^[.]/||')
}}
_firstlight() {{
    local current="$2" before="$3" verb="${{COMP_WORDS[1]}}" words=""
    if [ "$current" = "=" ]; then current=""; fi  # --config=NAME is three words
    if [ "$before" = "=" ]; then before="${{COMP_WORDS[COMP_CWORD-2]}}"; fi
    if [ "$COMP_CWORD" = 1 ]; then before=; fi
    case "$before" in
        "") words="{verbs}" ;;
        -c|--config) words="$(_firstlight_configs)" ;;
        --sweep) words="$(_firstlight_sweeps)" ;;
        --run|--resume) words="$(_firstlight_runs)" ;;
{values}
        *)
            case "$verb" in
                fit|validate|test|predict) words="{flags}" ;;
                sweep) words="--sweep --trials --storage {flags}" ;;
                check) words="--schema $(_firstlight_configs)" ;;
                describe) words="{models} $(_firstlight_configs)" ;;
                runs|reproduce) words="diff $(_firstlight_runs)" ;;
                completion) words="bash zsh" ;;
            esac ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _firstlight firstlight
"""
ZSH = "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"
KEYS = ("model", "data", "optimizer", "lr_scheduler")


def completion(args: list[str]) -> None:
    """Print the script."""
    parser = Parser("completion", "Print a script that completes what is typed.")
    parser.add_argument("shell", choices=["bash", "zsh"])
    shell = parser.parse_args(args).shell
    flags = {flag for action in fit_parser()._actions for flag in action.option_strings}
    names = {}
    for key in KEYS:
        kinds = list(classes(key))
        names[key] = " ".join(sorted({kind.__name__ for kind in kinds}))
        flags |= {f"--{key}.{name}" for kind in kinds for name in inspect.signature(kind).parameters}
    script = SCRIPT.format(
        shell=shell,
        configs=shlex.quote(str(folders()[-1])),
        verbs=" ".join(VERBS),
        values="\n".join(f'        --{key}) words="{names[key]}" ;;' for key in KEYS),
        flags=" ".join(sorted(flags)),
        models=names["model"],
    )
    print((ZSH if shell == "zsh" else "") + script, end="")
