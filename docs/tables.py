"""Write the table of models into the README files, from the configs: ``make tables``."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[1]
END = "<!-- end of the table -->"
HEAD = ("config", "what it is", "model", "data", "document", "test score")
WORDS = {"README.md": None, "README.es.md": "words.es.yaml", "README.zh-CN.md": "words.zh-CN.yaml"}
"""The README files, each with the file beside this one that translates its table."""


def main() -> None:
    """Write the tables."""
    for readme in WORDS:
        path = REPOSITORY / readme
        path.write_text(fill(path.read_text(encoding="utf-8"), "tables", models(readme)), encoding="utf-8")


def fill(text: str, target: str, table: str) -> str:
    """Return a text with a new table where ``make TARGET`` writes one.

    Raises:
        ValueError: If the text has no such place.
    """
    begin = f"<!-- make {target} writes this table -->\n"
    if begin not in text:
        raise ValueError(f"there is no line {begin.strip()!r}")
    before, _, rest = text.partition(begin)
    return before + begin + table + END + rest.partition(END)[2]


def models(readme: str) -> str:
    """Return the table of models in the language of a README file; what has no translation stays English."""
    words = translations(readme)
    rows = [[words.get(cell, cell) for cell in row] for row in [HEAD, *rows_of_models()]]
    return markdown(rows)


def translations(readme: str) -> Mapping[str, str]:
    """Return the words of a README file's language, by the English ones."""
    file = WORDS[readme]
    return yaml.safe_load((REPOSITORY / "docs" / file).read_text(encoding="utf-8")) if file else {}


def rows_of_models() -> list[list[str]]:
    """Return a row a config, by document: what its opening comment says, and the classes it names."""
    command = [sys.executable, "-m", "firstlight", "configs", "--json"]
    rows = []
    for config in json.loads(subprocess.check_output(command, cwd=REPOSITORY))["configs"]:
        if "/" in config["config"]:
            continue  # a preset
        settings = yaml.safe_load(Path(REPOSITORY, config["file"]).read_text(encoding="utf-8"))
        classes = [f"`{settings[part]['class_path']}`" for part in ("model", "data")]
        what, documents = re.fullmatch(r"(.*?)(?: \((?:after )?(D\d.*)\))?", config["what_it_is"]).groups(default="")
        score = "`{}` {}".format(*config["ends_at"].split())
        rows.append([f"`{config['config']}`", what, *classes, documents, score])
    return sorted(rows, key=lambda row: (row[HEAD.index("document")] or "without one", row[0].strip("`")))


def markdown(rows: list[list[str]]) -> str:
    """Return a table whose first row is its head."""
    head, *body = rows
    return "".join(f"| {' | '.join(row)} |\n" for row in [head, ["---"] * len(head), *body])


if __name__ == "__main__":
    main()
