"""``firstlight describe MODEL``: what a model computes, its layers, its first values, its arguments."""

import contextlib
import inspect
import json
import re
from pathlib import Path
from typing import Any

import docstring_parser
import yaml
from torchmetrics import Metric

from firstlight.engine.cli.verbs import Parser, print_table
from firstlight.engine.command.command import Command, run
from firstlight.engine.command.configs import find_config, known
from firstlight.engine.command.explain import classes
from firstlight.engine.command.session import import_packages
from firstlight.engine.runs.folders import relative_to_cwd
from firstlight.errors import UsageError, suggestion

__all__ = ["describe"]

QUICK = ("--trainer.fast_dev_run=true", "--trainer.accelerator=cpu", "--trainer.devices=1", "--trainer.strategy=auto")
NUM_VALUES = 4  # of each parameter


def describe(args: list[str]) -> None:
    """Describe a model as its class builds it by default, or as a config does.

    Raises:
        UsageError: If there is no such class and no such config.
    """
    parser = Parser("describe", "What a model computes, its layers, the first values of its parameters, its arguments.")
    parser.add_argument("model", metavar="MODEL", help="a class (MLP) or a config (neural_network_best)")
    options, flags = parser.parse_known_args(args)
    run("fit", [*_source(options.model), *flags, *QUICK], Description)


def _source(name: str) -> list[str]:
    """Return the flags that choose a model; a config goes before a class whose name is written otherwise."""
    import_packages()
    models = sorted({kind.__name__ for kind in classes("model")})
    configs = [config for config in known() if not config.startswith("presets/")]
    if name not in models and (name in configs or name.endswith(".yaml")):
        return ["--config", name]
    for model in models:
        if model.lower() == name.lower().replace("_", ""):
            return ["--model", model]
    raise UsageError(f"no model {name!r}{suggestion(name, [*models, *configs], 'models and configs')}")


class Description(Command):
    """A model that is built and described, and not trained."""

    def after_instantiate_classes(self) -> None:
        """Say nothing yet."""

    def fit(self, **kwargs: Any) -> None:
        """Print the description."""
        kind = type(self.model)
        doc = docstring_parser.parse(kind.__doc__ or "")
        print(f"{kind.__name__}: {_plain(doc.short_description)}")
        if doc.long_description:
            print(f"\n{_plain(doc.long_description)}")
        print()
        if source := re.search(r"Source: (.+)", inspect.getmodule(kind).__doc__ or "", re.DOTALL):
            print(f"source:  {_plain(source[1])}")
        print(f"code:    {relative_to_cwd(Path(inspect.getfile(kind)))}, line {inspect.getsourcelines(kind)[1]}")
        print(f"configs: {', '.join(_configs_of(kind)) or 'none'}")
        self._print_layers()
        self._print_parameters()
        self._print_arguments({param.arg_name: _plain(param.description) for param in doc.params})

    def after_fit(self) -> None:
        """Say nothing more."""

    def _print_layers(self) -> None:
        layers = [(name, part) for name, part in self.model.named_modules() if name and not list(part.children())]
        rows = [{"layer": name, "it is": repr(part)} for name, part in layers if not isinstance(part, Metric)]
        if rows:
            print()
            print_table(rows)

    def _print_parameters(self) -> None:
        rows = []
        for name, parameter in self.model.named_parameters():
            values = [f"{value:.4g}" for value in parameter.detach().flatten()[:NUM_VALUES].tolist()]
            more = ["..."] if parameter.numel() > NUM_VALUES else []
            rows.append({"parameter": name, "size": tuple(parameter.shape), "first values": "  ".join(values + more)})
        if rows:
            print()
            print_table(rows)
        print(f"{sum(parameter.numel() for parameter in self.model.parameters()):,} parameters")

    def _print_arguments(self, descriptions: dict[str, str]) -> None:
        given = self.config["fit"].model.get("init_args", {})
        rows = []
        for name, parameter in inspect.signature(type(self.model)).parameters.items():
            default = "" if parameter.default is parameter.empty else json.dumps(parameter.default, default=str)
            here = json.dumps(given[name], default=str) if name in given else default
            what = descriptions.get(name, "")
            rows.append({"argument": f"--model.{name}", "default": default, "here": here, "it is": what})
        if rows:
            print()
            print_table(rows)


def _configs_of(kind: type) -> list[str]:
    """Return the names of the configs whose model is of a class."""
    names = []
    for name in known():
        with contextlib.suppress(OSError, ValueError, yaml.YAMLError):
            model = (yaml.safe_load(find_config(name).read_text(encoding="utf-8")) or {}).get("model")
            path = model.get("class_path") if isinstance(model, dict) else model
            if str(path).rpartition(".")[2] == kind.__name__:
                names.append(name)
    return names


def _plain(text: str | None) -> str:
    """Return a docstring's text without the marks of its markup."""
    return re.sub(r":\w+:(?=`)|`|\*\*", "", text or "").strip()
