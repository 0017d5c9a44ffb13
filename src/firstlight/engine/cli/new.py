"""``firstlight new my-research``: start a project with models and data of its own, built on firstlight."""

import json
import keyword
import re
import runpy
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any

from firstlight.engine.cli.help import command_parser
from firstlight.engine.files import name_file
from firstlight.engine.runs.folders import relative_to_cwd
from firstlight.errors import UsageError

TEMPLATE = Path(__file__).resolve().parents[2] / "project-template"  # a project called my-research, ready to run
FILES = (
    ".github/workflows/tests.yml",
    ".gitignore",
    "Makefile",
    "README.md",
    "configs/small_mlp.yaml",
    "lightning_logs/.gitignore",
    "pyproject.toml",
    "src/my_research/__init__.py",
    "src/my_research/cli.py",
    "src/my_research/data.py",
    "src/my_research/models.py",
    "tests/test_configs.py",
    "tests/test_data.py",
    "tests/test_models.py",
)
CLASSES = {"images": "ImageFolder", "table": "Table"}
"""The data modules of firstlight that read files, by the kind of data."""
DATA: dict[str, dict[str, str | None]] = {
    "memory": {},
    "loader": {"src/my_research/data.py": "src/my_research/data_loader.py"},
    **{
        kind: {
            "configs/small_mlp.yaml": f"configs/small_mlp_{kind}.yaml",
            "src/my_research/data.py": None,
            "src/my_research/examples.py": f"src/my_research/examples_{kind}.py",
            "src/my_research/models.py": "src/my_research/models_files.py",
            "tests/conftest.py": "tests/conftest_files.py",
            "tests/test_data.py": "tests/test_data_files.py",
            "tests/test_models.py": "tests/test_models_files.py",
        }
        for kind in CLASSES
    },
}
"""What a project has in place of a file of the template, or besides, by the kind of its data; None for nothing."""
NAME = r"[a-z][a-z0-9]*([-_][a-z0-9]+)*"


def new(words: list[str]) -> dict[str, Any]:
    """Write a project into a new folder, completely or not at all.

    Raises:
        UsageError: If the name is not valid for a package, or the folder is not empty.
        OSError: If there is no room, or no permission.
    """
    parser = command_parser("new")
    parser.add_argument("folder", type=Path, help="my-research, or a path: work/my-research")
    kinds = "tensors in memory, examples by a DataLoader, a folder of images, a CSV table"
    parser.add_argument("--data", choices=DATA, default="memory", help=f"what is read: {kinds}")
    options = parser.parse_args(words)
    folder = options.folder
    if ".." in folder.parts:
        raise UsageError(f"new {folder}: the path must not contain ..; type an absolute path, or change folder first")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"new {folder}: this exists already and is not an empty folder; nothing was changed")
    name = _checked(folder.name)
    files = {file: file for file in FILES} | DATA[options.data]
    words_of = {"my_research": name.replace("-", "_"), "my-research": name.replace("_", "-")} | _origin()
    if kind := CLASSES.get(options.data):
        words_of["`TwoMoons`"] = f"`{kind}`"
    _write(folder, {file: source for file, source in files.items() if source}, words_of)
    git = which("git")
    if git and not any((above / ".git").exists() for above in folder.absolute().parents):
        subprocess.run([git, "init", "--quiet", folder], check=False)  # noqa: S603  # nothing of it was typed but a path
    print(f"project: {relative_to_cwd(folder)}")
    print(f"next:    cd {relative_to_cwd(folder)} && make fit")
    return {"project": str(folder.absolute())}


def _checked(name: str) -> str:
    """Return a project's name, if it is valid."""
    package = name.replace("-", "_")
    if not re.fullmatch(NAME, name):
        proper = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        hint = f"; did you mean {proper!r}?" if re.fullmatch(NAME, proper) else ""
        rule = "lower-case letters, digits and single hyphens, the first a letter"
        raise UsageError(f"new: {name!r} is not a valid project name: expected {rule}{hint}")
    if (
        keyword.iskeyword(package)
        or package in {*sys.stdlib_module_names, "firstlight"}
        or _is_installed(name, package)
    ):
        raise UsageError(f"new: {name!r} is a name of Python's or of an installed package: choose another name")
    return name


def _is_installed(name: str, package: str) -> bool:
    """Return whether there is a package to import, or to install, of that name."""
    spec = find_spec(package)
    here = [str(Path.cwd() / package)]  # a plain folder in the current one, which python -m takes for a package
    if spec and list(spec.submodule_search_locations or []) != here:
        return True
    try:
        return bool(distribution(name))
    except PackageNotFoundError:
        return False


def _origin() -> dict[str, str]:
    """Return what to replace so that a project depends on firstlight from where this one came.

    Its name alone would be looked up on an index, where it may be somebody else's.
    """
    try:
        record = json.loads(distribution("firstlight").read_text("direct_url.json") or "{}")
    except PackageNotFoundError:
        record = {"url": TEMPLATE.parents[2].as_uri()}  # it runs from its source
    if not record:
        return {}  # an index had it
    vcs = record.get("vcs_info")
    url = f"{vcs['vcs']}+{record['url']}@{vcs['commit_id']}" if vcs else record["url"]
    return {"firstlight>=0.1": f"firstlight @ {url}"}


def _write(folder: Path, files: dict[str, str], replacements: dict[str, str]) -> None:
    """Write all files into a temporary folder beside the target, and rename it in one step."""
    folder = folder.absolute()
    top = next((parent for parent in reversed(folder.parents) if not parent.exists()), folder)
    part = top.with_name(f".{top.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # what a kill left behind
    try:
        part.mkdir()  # by itself: it must be no link that somebody put there
        for name, source in files.items():
            path, text = name, (TEMPLATE / source).read_text(encoding="utf-8")
            for old, new in replacements.items():
                path, text = path.replace(old, new), text.replace(old, new)
            target = part / folder.relative_to(top) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        for script in part.rglob("examples.py"):
            runpy.run_path(str(script))["write"](part / folder.relative_to(top) / "data")
        part.replace(top)
    except OSError as error:
        name_file(error)
        error.filename = str(error.filename or top).replace(str(part), str(top))
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
