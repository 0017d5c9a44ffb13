"""Say in a line or two what is wrong with a setting: its place, what was expected, the nearest valid name."""

import difflib
import inspect
import re
import sys
from collections.abc import Sequence

from jsonargparse import ArgumentParser

from firstlight.engine.command.classes import BASES, choices, find_class
from firstlight.engine.command.configs import config_names
from firstlight.engine.command.settings import Setting, short_key
from firstlight.engine.packages import added_packages
from firstlight.errors import suggestion

KINDS = {
    "PositiveInt": "a whole number above 0",
    "Seed": f"a whole number from 0 to {2**32 - 1}",
    "NonNegativeInt": "a whole number, 0 or more",
    "PositiveFloat": "a number above 0",
    "NonNegativeFloat": "a number, 0 or more",
    "ClosedUnitInterval": "a number from 0 to 1",
    "OpenUnitInterval": "a number between 0 and 1",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "list": "a list, as in [a,b]",
    "dict": "a mapping",
}
"""Types as a message calls them."""


class Mistake:
    """What a parser complains of; among the settings, the strongest comes last."""

    def __init__(self, message: str, parser: ArgumentParser, settings: Sequence[Setting]) -> None:
        self.message, self.parser, self.settings = message, parser, settings
        # the second key is a setting of the class that is the value of the first
        self.key = ".".join(re.findall(r'Parser key "([^"]+)"', message)[:2])

    def explain(self) -> str:
        """Return what is wrong, in at most three lines."""
        wrong = self._wrong_key() or self._other_class() or self._wrong_class() or self._wrong_value()
        if wrong:
            return wrong
        reasons = re.findall(r"^\s*- (.+[^:])$", self.message, re.MULTILINE)
        if self.key and reasons:
            return f"{self._placed(self.key)}: {reasons[0]}"
        return "\n".join(line.strip() for line in self.message.strip().splitlines()[:3])

    def _wrong_key(self) -> str | None:
        if found := self._find(r"unrecognized arguments: ([^-\s]\S*)"):
            return _stray_word(found[1])
        if found := self._find(r'Invalid option "(.+)" for --print_config'):
            hint = ": it needs ruamel.yaml (pip install ruamel.yaml)" if found[1] == "comments" else ""
            return f"--print_config={found[1]} is not available{hint or ': choose skip_default or skip_unset'}"
        if found := self._find(r"(?:Group '(.+)' does not accept option|unrecognized arguments:|Option) '?-*([\w.]+)"):
            return self._unknown_key(f"{found[1] or self.key}.{found[2]}".strip("."))
        if found := self._find(r"the following arguments are required: (.+)"):
            if self.key:
                return f"{self._placed(self.key)} needs a value for {found[1]}"
            return f"no {found[1]} is named: choose a config with --config NAME, or name it with --{found[1]}"
        return None

    def _other_class(self) -> str | None:
        """Say that a class of an added package is not of the kind that its key takes."""
        found = self._find(r"(?:Expected a path but |Import path |Importing '|class_path ')([\w.]+)")
        module, _, name = found[1].rpartition(".") if found else ("", "", "")
        kind, base = getattr(sys.modules.get(module), name, None), BASES.get(self.key)
        if not (found and base and isinstance(kind, type)) or module.partition(".")[0] not in added_packages():
            return None
        old = any(each.__module__.startswith("pytorch_lightning.") for each in kind.__mro__)
        what = " of lightning, but of pytorch_lightning\nimport lightning.pytorch as pl, in its file" if old else ""
        return None if issubclass(kind, base) else f"{self._placed(self.key)}: {found[1]!r} is no {base.__name__}{what}"

    def _wrong_class(self) -> str | None:
        if found := self._find(r"instantiatable class, but (\w+) is abstract"):
            methods = sorted(getattr(self._class_of(self.key), "__abstractmethods__", ()))
            lacks = f"it has no {', '.join(methods)}" if methods else "choose a class below it"
            return f"{self._placed(self.key)}: {found[1]} is abstract: {lacks}"
        if found := self._find(r"Multiple subclasses with name (\w+).*avoid ambiguity: (.+)\."):
            return f"{self._placed(self.key)}: more than one class is called {found[1]!r}: name it as one of {found[2]}"
        if found := self._find(r"Importing '([\w.]+)' is not allowed"):
            base = getattr(BASES.get(self.key), "__name__", "")
            if found[1].rpartition(".")[2] == base:  # only its arguments are set
                return f"{self._placed(self.key)}: no class is named: set --{self.key} CLASS before its arguments"
            return (
                f"{self._placed(self.key)}: {found[1]!r} is not imported: configs may name classes of firstlight, "
                f"lightning.pytorch, torch.optim and torch.nn\n"
                f"add your own package with FIRSTLIGHT_PACKAGES={found[1].partition('.')[0]}"
            )
        named = self._find(r"(?:Expected a dot import path string: |Problem with given class_path ')([\w.]+)")
        if not named or not choices(self.key) or "Not of type" in self.message:
            return None
        names = sorted({kind.__name__ for kind in choices(self.key)})
        name = named[1].rpartition(".")[2]
        wrong = f"there is no class {named[1]!r}{suggestion(name, names, 'classes')}"
        if name in names and self._find(rf"{re.escape(named[1])}[(]"):
            wrong = f"name {name} alone, and set its arguments by --{self.key}.NAME VALUE"
        return f"{self._placed(self.key)}: {wrong}"

    def _find(self, pattern: str) -> re.Match[str] | None:
        return re.search(pattern, self.message)

    def _unknown_key(self, key: str) -> str:
        """Say that there is no such key, and which is nearest."""
        key = short_key(key)
        group, _, name = key.rpartition(".")
        known = sorted(self.parser.get_defaults().keys(branches=True))
        siblings = [dest.rpartition(".")[2] for dest in known if dest.rpartition(".")[0] == group]
        owner = group or self.parser.prog
        if kind := self._class_of(group):
            owner, siblings = f"{group} ({kind.__name__})", sorted(inspect.signature(kind).parameters)
        if not siblings:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"{self.parser.prog} --help=all lists all"
            return f"{self._placed(key)}: there is no such setting; {hint}"
        if not group and (elsewhere := self._with_last_part(name, known)):
            return f"{self._placed(key)}: there is no such setting; did you mean '{elsewhere}'?"
        hint = suggestion(name, siblings, "settings")
        if group:
            hint = hint.replace("did you mean '", f"did you mean '{group}.")
        return f"{self._placed(key)}: {owner} has no setting {name!r}{hint}"

    def _with_last_part(self, name: str, known: Sequence[str]) -> str | None:
        """Return the key of a setting that is known by its last part alone: ``lr``, ``epochs``."""
        kinds = [(part, kind) for part in BASES if (kind := self._class_of(part))]
        keys = [*(f"{part}.{each}" for part, kind in kinds for each in inspect.signature(kind).parameters), *known]
        exact = (key for key in keys if key.endswith(f".{name}"))
        return next(exact, next((key for key in keys if key.endswith(f"_{name}")), None))

    def _wrong_value(self) -> str | None:
        """Say that a value is of the wrong type, or not one of the choices."""
        got = self._find(r"Got value: (.*)")
        wrong = [
            setting for setting in self.settings if setting.key == self.key and got and str(setting.value) == got[1]
        ]
        setting = wrong[-1] if wrong else self._setting(self.key)
        literals = re.findall(r"'([^']+)'", " ".join(re.findall(r"typing\.Literal\[(.+?)\]", self.message)))
        types = re.findall(r"Not of type (\w+)|Expected a <class '(?:[\w.]+\.)?(\w+)'>", self.message)
        expected = [KINDS[name] for pair in types for name in pair if name in KINDS]
        if literals:
            expected = [kind for kind in expected if kind == KINDS["bool"]] + [
                "one of " + ", ".join(dict.fromkeys(literals))
            ]
        if self.key in BASES and setting and setting.value == "":
            expected = ["a class, or null for none"]
        if not (self.key and expected):
            return None
        value = setting.value if setting else "?"
        shown = "null" if value is None else repr(value)
        near = difflib.get_close_matches(str(value), literals, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        place = f" ({setting.place})" if setting and setting.place else ""
        return f"{self.key} is {shown}{place}: expected {' or '.join(dict.fromkeys(expected))}{hint}"

    def _class_of(self, key: str) -> type | None:
        """Return the class that a key was last given, if it is one that is known."""
        kinds = [find_class(key, str(setting.value)) for setting in self.settings if setting.key == key]
        return next((kind for kind in reversed(kinds) if kind), None)

    def _setting(self, key: str) -> Setting | None:
        """Return the last setting of a key, or else of anything below it."""
        exact = [setting for setting in self.settings if setting.key == key]
        found = exact or [setting for setting in self.settings if setting.key.startswith(f"{key}.")]
        return found[-1] if found else None

    def _placed(self, key: str) -> str:
        setting = self._setting(key)
        return f"{key} ({setting.place})" if setting and setting.place else key


def _stray_word(word: str) -> str:
    """Say what a word that is neither a flag nor its value was meant to be."""
    key, equals, value = word.partition("=")
    if equals:
        return f"{word}: settings are flags: --{key.lstrip('+')} {value}"
    if word in config_names():
        return f"{word}: did you mean --config {word}?"
    return f"{word}: no flag and no config{suggestion(word, config_names(), 'configs')}"
