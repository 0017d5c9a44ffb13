"""``firstlight describe MODEL``: what a model computes, its layers, its first values, its arguments."""

import contextlib
import inspect
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import docstring_parser
from lightning.pytorch import LightningModule
from torch.nn.parameter import is_lazy
from torchmetrics import Metric

from firstlight.engine.cli.help import command_parser
from firstlight.engine.cli.table import print_table
from firstlight.engine.command.classes import choices, import_packages
from firstlight.engine.command.command import prepared
from firstlight.engine.command.configs import config_names, find_config, read_config
from firstlight.engine.command.stages import parameter_count
from firstlight.engine.runs.folders import relative_to_cwd
from firstlight.errors import UsageError, suggestion

NUM_VALUES = 4  # of each parameter


def describe(words: list[str]) -> None:
    """Describe a model as its class builds it, or as a config does; raise a ``UsageError`` if there is neither."""
    parser = command_parser("describe")
    parser.add_argument("model", metavar="MODEL", help="a class (MLP) or a config (neural_network_best)")
    options, flags = parser.parse_known_args(words)
    flags = [flag for flag in flags if flag not in ("-c", "--config")]  # its value is taken for the model
    with prepared("fit", [*_source(options.model), *flags]) as command:
        command.instantiate()
        _print_text(command.model)
        _print_layers(command.model)
        _print_parameters(command.model)
        _print_arguments(command.model, command.config.model.get("init_args", {}))


def _source(name: str) -> list[str]:
    """Return the flags that choose a model; a config goes before a class whose name is written otherwise."""
    import_packages()
    models = sorted({kind.__name__ for kind in choices("model")})
    configs = [config for config in config_names() if not config.startswith("presets/")]
    if name not in models and (name in configs or name.endswith(".yaml")):
        return ["--config", name]
    for model in models:
        if model.lower() == name.lower().replace("_", ""):
            return ["--model", model]
    raise UsageError(f"no model {name!r}{suggestion(name, [*models, *configs], 'models and configs')}")


def _print_text(model: LightningModule) -> None:
    kind = type(model)
    doc = docstring_parser.parse(kind.__doc__ or "")
    print(f"{kind.__name__}: {_without_markup(doc.short_description)}")
    if doc.long_description:
        print(f"\n{_without_markup(doc.long_description)}")
    print()
    if source := re.search(r"Source: (.+)", inspect.getmodule(kind).__doc__ or "", re.DOTALL):
        print(f"source:  {_without_markup(source[1])}")
    print(f"code:    {relative_to_cwd(Path(inspect.getfile(kind)))}, line {inspect.getsourcelines(kind)[1]}")
    print(f"configs: {', '.join(_configs_of(kind)) or 'none'}")


def _print_layers(model: LightningModule) -> None:
    layers = [(name, part) for name, part in model.named_modules() if name and not list(part.children())]
    rows = [{"layer": name, "what it is": repr(part)} for name, part in layers if not isinstance(part, Metric)]
    print_table(rows, before="\n")


def _print_parameters(model: LightningModule) -> None:
    rows = []
    for name, parameter in model.named_parameters():
        if is_lazy(parameter):
            rows.append({"parameter": name, "size": "known with the first batch", "first values": ""})
            continue
        values = [f"{value:.4g}" for value in parameter.detach().flatten()[:NUM_VALUES].tolist()]
        more = ["..."] if parameter.numel() > NUM_VALUES else []
        rows.append({"parameter": name, "size": tuple(parameter.shape), "first values": "  ".join(values + more)})
    print_table(rows, before="\n")
    print(parameter_count(model))


def _print_arguments(model: LightningModule, given: Mapping[str, Any]) -> None:
    described = docstring_parser.parse(type(model).__doc__ or "").params
    descriptions = {param.arg_name: " ".join(_without_markup(param.description).split()) for param in described}
    rows = []
    for name, parameter in inspect.signature(type(model)).parameters.items():
        default = "" if parameter.default is parameter.empty else json.dumps(parameter.default, default=str)
        here = json.dumps(given[name], default=str) if name in given else default
        what = descriptions.get(name, "")
        rows.append({"argument": f"--model.{name}", "default": default, "here": here, "what it is": what})
    print_table(rows, before="\n")


def _configs_of(kind: type) -> list[str]:
    names = []
    for name in config_names():
        with contextlib.suppress(UsageError):
            model = read_config(find_config(name)).content.get("model")
            path = model.get("class_path") if isinstance(model, dict) else model
            if str(path).rpartition(".")[2] == kind.__name__:
                names.append(name)
    return names


def _without_markup(text: str | None) -> str:
    return re.sub(r":\w+:(?=`)|`", "", text or "").strip()
