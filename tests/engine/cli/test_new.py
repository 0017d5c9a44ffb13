"""A project in one command: what is written, under which name, and what is refused."""

import os
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import pytest

import firstlight as package
from firstlight.engine.cli import new

ROOT = Path(__file__).parents[3]


def files(folder):
    paths = {path.relative_to(folder) for path in Path(folder).rglob("*") if path.is_file()}
    return {str(path) for path in paths if ".git" not in path.parts}


@pytest.mark.slow
@pytest.mark.parametrize("data", new.DATA)
def test_project_passes_its_own_tests_and_checks_and_can_be_installed(data, did):
    did("new", "my-research", f"--data={data}")
    for tool in ("pytest -p no:cacheprovider", "ruff check .", "ruff format --check .", "hatchling build -t wheel"):
        command = [sys.executable, "-m", *tool.split()]
        paths = [Path("my-research/src").absolute(), Path(package.__file__).parents[1]]
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
        done = subprocess.run(command, cwd="my-research", env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "arning" not in done.stdout
    (wheel,) = map(zipfile.ZipFile, Path("my-research/dist").iterdir())
    (entries,) = (wheel.read(name).decode() for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "my-research = my_research.cli:main\n" in entries
    assert "[firstlight.packages]\nmy_research = my_research\n" in entries


def test_project_goes_by_its_own_name_throughout(did):
    out = did("new", "work/deep_lab")
    assert out == "project: work/deep_lab\nnext:    cd work/deep_lab && make fit\n"
    assert files("work/deep_lab") == {file.replace("my_research", "deep_lab") for file in new.FILES}
    for file in files("work/deep_lab"):
        text = Path("work/deep_lab", file).read_text()
        assert "my_research" not in text
        assert "my-research" not in text
    assert '\ndeep-lab = "deep_lab.cli:main"\n' in Path("work/deep_lab/pyproject.toml").read_text()
    assert files(".") == {f"work/deep_lab/{file}" for file in files("work/deep_lab")}


def test_all_of_the_template_is_written():
    paths = {path for path in new.TEMPLATE.rglob("*") if path.is_file()}
    attic = {path for path in paths if not any(part.endswith(("__pycache__", "_cache")) for part in path.parts)}
    variants = {source for files in new.DATA.values() for source in files.values() if source}
    assert {path.relative_to(new.TEMPLATE).as_posix() for path in attic} == {*new.FILES, *variants}


def test_wheel_carries_all_that_is_written(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert {f"firstlight/{new.TEMPLATE.name}/{file}" for file in new.FILES} <= set(zipfile.ZipFile(wheel).namelist())


def test_project_is_a_repository_unless_it_is_in_one(did, monkeypatch):
    did("new", "alone")
    Path(".git").mkdir()
    did("new", "inside")
    monkeypatch.setattr(new, "which", lambda _: None)
    Path(".git").rmdir()
    did("new", "without")
    assert [Path(name, ".git").exists() for name in ("alone", "inside", "without")] == [True, False, False]


RULE = "is not a valid project name: expected lower-case letters, digits and single hyphens, the first a letter"
TAKEN = "is a name of Python's or of an installed package: choose another name"
REFUSED = {
    "my research": f"'my research' {RULE}; did you mean 'my-research'?",
    "My--Research": f"'My--Research' {RULE}; did you mean 'my-research'?",
    "1st": f"'1st' {RULE}",
    "class": f"'class' {TAKEN}",
    "json": f"'json' {TAKEN}",
    "torch": f"'torch' {TAKEN}",
    "pytest-xdist": f"'pytest-xdist' {TAKEN}",
    "work/firstlight": f"'firstlight' {TAKEN}",
}


@pytest.mark.parametrize("name", REFUSED)
def test_name_that_a_package_cannot_have_is_refused_with_the_rule(name, complaint):
    assert complaint("new", name) == (2, f"new: {REFUSED[name]}")
    assert not list(Path().iterdir())


def test_way_that_leads_up_is_refused(complaint):
    expected = "new ../attic: the path must not contain ..; type an absolute path, or change folder first"
    assert complaint("new", "../attic") == (2, expected)


def test_folder_with_something_in_it_is_left_as_it_is(complaint, did):
    Path("attic").mkdir()
    Path("attic/notes").write_text("dear diary")
    Path("yours").touch()
    for name in ("attic", "yours"):
        expected = f"new {name}: this exists already and is not an empty folder; nothing was changed"
        assert complaint("new", name) == (2, expected)
    assert files(".") == {"attic/notes", "yours"}
    Path("attic/notes").unlink()
    did("new", "attic")
    assert len(files("attic")) == len(new.FILES)


def test_nothing_is_left_of_a_project_that_could_not_be_written(complaint, monkeypatch):
    monkeypatch.setattr(new, "FILES", (*new.FILES, "missing"))
    status, message = complaint("new", "work/attic")
    assert (status, message.partition(":")[0]) == (1, "[Errno 2] No such file or directory")
    assert not list(Path().iterdir())


def test_project_is_written_through_no_link_and_an_error_names_it_by_its_own_name(complaint, tmp_path):
    Path("elsewhere").mkdir()
    Path(".attic.part").symlink_to("elsewhere")
    assert complaint("new", "attic") == (1, f"[Errno 17] File exists: '{tmp_path}/attic'")
    assert not list(Path("elsewhere").iterdir())
    Path("file").touch()
    assert complaint("new", "file/attic") == (1, f"[Errno 20] Not a directory: '{tmp_path}/file/attic'")


def dependencies(folder):
    return tomllib.loads(Path(folder, "pyproject.toml").read_text())["project"]["dependencies"]


def test_firstlight_is_installed_from_where_it_came_from(did, monkeypatch):
    origins = {
        None: "firstlight>=0.1",
        '{"url": "file:///home/me/firstlight", "dir_info": {"editable": true}}': "firstlight @ file:///home/me/firstlight",
        '{"url": "ssh://host/x.git", "vcs_info": {"vcs": "git", "commit_id": "0a1b"}}': "firstlight @ git+ssh://host/x.git@0a1b",
    }
    monkeypatch.setattr(new, "_is_installed", lambda *_: False)
    for number, (record, origin) in enumerate(origins.items()):
        installed = SimpleNamespace(read_text={"direct_url.json": record}.get)
        monkeypatch.setattr(new, "distribution", {"firstlight": installed}.get)
        did("new", f"attic{number}")
        assert dependencies(f"attic{number}") == [origin]


def test_project_of_a_firstlight_that_is_not_installed_depends_on_its_folder(did, monkeypatch):
    def missing(name):
        raise PackageNotFoundError

    monkeypatch.setattr(new, "distribution", missing)
    did("new", "attic")
    assert dependencies("attic") == [f"firstlight @ {ROOT.as_uri()}"]


def test_command_of_a_project_answers_without_torch(did):
    did("new", "attic")
    code = "import sys; sys.argv = ['attic', 'configs']; sys.path.insert(0, 'attic/src')\n"
    code += "from attic.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; print('torch' in sys.modules)"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "False"
