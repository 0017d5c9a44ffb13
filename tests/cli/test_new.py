"""A project in one command: what is written, what is refused, and that its models are trusted like firstlight's own."""

import contextlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

import firstlight as package
from firstlight.cli import main, new

sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))

from harness import differences, firstlight, left_behind

ROOT = Path(__file__).parents[2]
FIT = ("fit", "--config", "small_mlp", "--trainer.max_epochs=3", "--data.num_points=100", "--updates_per_batch=3")
CONFIG = "configs/small_mlp.yaml"
PACKAGE, MODELS, DATA = (f"src/my_research/{name}.py" for name in ("__init__", "models", "data"))


def files(folder):
    return {str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file()}


@pytest.fixture
def written(did):
    """Return a function that writes a project, and installs it as far as programs that the harness starts can see."""

    def write(folder):
        did("new", folder)
        door = Path(folder).absolute() / ".door"
        info = door / "my_research-0.1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-research\nVersion: 0.1.0\n")
        (info / "entry_points.txt").write_text("[firstlight.packages]\nmy_research = my_research\n")
        (door / "my_research").symlink_to("../src/my_research")
        return door.parent

    return write


def test_project_passes_its_own_tests_and_checks_and_can_be_installed(did):
    did("new", "my-research")
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


def test_wheel_carries_all_that_is_written(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert {f"firstlight/{new.TEMPLATE.name}/{file}" for file in new.FILES} <= set(zipfile.ZipFile(wheel).namelist())


REFUSED = {
    "my research": "'my research' is no name for a project: expected lower-case letters, digits and single hyphens, "
    "the first a letter; did you mean 'my-research'?",
    "My--Research": "'My--Research' is no name for a project: expected lower-case letters, digits and single hyphens, "
    "the first a letter; did you mean 'my-research'?",
    "1st": "'1st' is no name for a project: expected lower-case letters, digits and single hyphens, the first a letter",
    "class": "'class' is a word of Python's own, so no package can be called that",
    "json": "'json' is a module of Python's own, which the project would hide",
    "torch": "'torch' is a package that is installed here, which the project would hide",
    "pytest-xdist": "'pytest-xdist' is a package that is installed here, which the project would hide",
    "work/firstlight": "'firstlight' is a package that is installed here, which the project would hide",
}


@pytest.mark.parametrize("name", REFUSED)
def test_name_that_a_package_cannot_have_is_refused_with_the_rule(name, complaint):
    assert complaint("new", name) == (2, f"new: {REFUSED[name]}")
    assert not list(Path().iterdir())


def test_way_that_leads_up_is_refused(complaint):
    expected = "new ../mine: go to the folder that is to hold the project first, or give its whole path"
    assert complaint("new", "../mine") == (2, expected)


def test_folder_with_something_in_it_is_left_as_it_is(complaint, did):
    Path("mine").mkdir()
    Path("mine/notes").write_text("dear diary")
    Path("yours").touch()
    for name in ("mine", "yours"):
        expected = f"new {name}: there is something of that name already, and it is left as it is"
        assert complaint("new", name) == (2, expected)
    assert files(".") == {"mine/notes", "yours"}
    Path("mine/notes").unlink()
    did("new", "mine")
    assert len(files("mine")) == len(new.FILES)


def test_nothing_is_left_of_a_project_that_could_not_be_written(complaint, monkeypatch):
    monkeypatch.setattr(new, "FILES", (*new.FILES, "missing"))
    status, message = complaint("new", "work/mine")
    assert (status, message.partition(":")[0]) == (1, "[Errno 2] No such file or directory")
    assert not list(Path().iterdir())


def test_firstlight_is_installed_from_where_it_came_from(did, monkeypatch):
    origins = {
        None: "firstlight",
        '{"url": "file:///home/me/firstlight", "dir_info": {"editable": true}}': "file:///home/me/firstlight",
        '{"url": "ssh://host/x.git", "vcs_info": {"vcs": "git", "commit_id": "0a1b"}}': "git+ssh://host/x.git@0a1b",
    }
    monkeypatch.setattr(new, "_is_installed", lambda *_: False)
    for number, (record, origin) in enumerate(origins.items()):
        installed = SimpleNamespace(read_text={"direct_url.json": record}.get)
        monkeypatch.setattr(new, "distribution", {"firstlight": installed}.get)
        did("new", f"mine{number}")
        assert f"\nFIRSTLIGHT ?= {origin}\n" in Path(f"mine{number}/Makefile").read_text()


@pytest.mark.parametrize("words", [["--help"], ["runs"], ["runs", "--help"], ["test"]])
def test_command_of_a_project_goes_by_its_own_name(words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["/a/folder/my-research", *words])
    monkeypatch.setenv("FIRSTLIGHT_PACKAGES", "")
    with contextlib.suppress(SystemExit):
        main("json")  # any package will do
    out, err = capsys.readouterr()
    assert "my-research fit --config" in out + err or "usage: my-research runs" in out
    assert "firstlight" not in out + err
    assert os.environ["FIRSTLIGHT_PACKAGES"] == "json"


def test_killed_run_of_a_project_goes_on_to_the_same_bits_and_its_best_weights_are_scored(written):
    unbroken, killed = written("unbroken/my-research"), written("killed/my-research")
    assert firstlight(unbroken, *FIT).status == 0
    assert firstlight(killed, *FIT, fault={"do": "SIGKILL", "step": 7}).status == -9
    resumed = firstlight(killed, "fit", "--resume")
    assert resumed.status == 0, resumed.text
    assert not list(differences(left_behind(unbroken), left_behind(killed)))
    run = "lightning_logs/small_mlp/version_0"
    assert firstlight(killed, "test").text.startswith(f"weights: {run}/checkpoints/best.ckpt, epoch ")
    assert "are the same to the bit" in firstlight(killed, "reproduce", "small_mlp").text
    assert firstlight(killed, "configs").text.startswith("small_mlp ")


def test_command_of_a_project_does_not_mind_what_else_is_installed(written):
    folder = written("my-research")
    other = folder / ".door/other-0.1.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 0.1.0\n")
    (other / "entry_points.txt").write_text("[firstlight.packages]\nother = other\n")
    for variable, status in ((None, 2), ("my_research", 0)):
        assert firstlight(folder, *FIT, "--trainer.fast_dev_run=true", FIRSTLIGHT_PACKAGES=variable).status == status


BROKEN = {
    "setting misspelt": (
        [(CONFIG, "num_hidden", "num_hiden")],
        "model.num_hiden (configs/small_mlp.yaml, line 13): model (SmallMLP) has no setting 'num_hiden'; "
        "did you mean 'model.num_hidden'?",
    ),
    "class renamed": (
        [(MODELS, "SmallMLP", "BigMLP")],
        "package 'my_research' cannot be imported: cannot import name 'SmallMLP' from 'my_research.models' "
        "({folder}/.door/my_research/models.py)",
    ),
    "bracket left open": (
        [(MODELS, "(num_classes, lr)", "(num_classes, lr")],
        "package 'my_research' cannot be imported: '(' was never closed (models.py, line 27)",
    ),
    "name that firstlight has": (
        [(file, "SmallMLP", "MLP") for file in (CONFIG, MODELS, PACKAGE)],
        "model (configs/small_mlp.yaml, line 11): more than one class is called 'MLP': "
        "name it as one of firstlight.MLP, my_research.MLP",
    ),
    "no forward": (
        [(MODELS, "def forward", "def foward")],
        "model (configs/small_mlp.yaml, line 11): SmallMLP is abstract: it has no forward",
    ),
    "hyperparameter that no safe checkpoint holds": (
        [(MODELS, "        self.save", "        lr = __import__('pathlib').Path()\n        self.save")],
        "checkpoint lightning_logs/small_mlp/version_0/checkpoints/last.ckpt holds a pathlib.PosixPath, "
        "not only tensors and plain values: not loaded",
    ),
    "layers that do not fit": (
        [(MODELS, "nn.Linear(num_hidden,", "nn.Linear(32,")],
        "model and data do not fit each other: addmm: mat1 and mat2 shapes cannot be multiplied (80x64 and 32x2) "
        "(.door/my_research/models.py, line 37)\nset sizes in --model or --data",
    ),
    "outputs and targets of other shapes": (
        [(MODELS, "Classification", "Regression"), (MODELS, "(num_classes, lr)", "(lr)")],
        "model and data do not fit each other: Using a target size (torch.Size([80])) that is different to "
        "the input size (torch.Size([80, 2]))\n"
        "outputs and targets are to be of one shape: (batch, 1) for a number each",
    ),
    "classes with a fraction": (
        [(DATA, "generator=random), y\n", "generator=random), y.float()\n")],
        "model and data do not fit each other: expected target dtype to be Long or Byte, but got Float\n"
        "class numbers are whole (torch.long), of shape (batch,)",
    ),
    "no validation data": (
        [(DATA, "self.val, ", ""), (DATA, "range(3)", "range(2)")],
        "TwoMoons has no val: setup is to fill train, val and test",
    ),
    "targets that lack": (
        [(DATA, "generator=random), y\n", "generator=random), y[:90]\n")],
        "TwoMoons.val is 100 rows and 90 rows: expected two tensors, inputs and targets, of as many rows",
    ),
    "no data": (
        [(CONFIG, "data:\n  class_path: TwoMoons\n  init_args:\n    num_points: 1000\n    batch_size: 20\n", "")],
        "no data is named: choose a config with --config NAME, or name it with --data",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_mistake_in_a_project_is_answered_with_what_is_wrong_and_where(case, written):
    changes, message = BROKEN[case]
    folder = written("my-research")
    for file, right, wrong in changes:
        text = (folder / file).read_text()
        assert right in text
        (folder / file).write_text(text.replace(right, wrong))
    ended = firstlight(folder, *(flag for flag in FIT if not (case == "no data" and "data" in flag)))
    assert ended.status in (1, 2)
    _, _, said = ended.text.partition("error: ")
    assert said.strip() == message.format(folder=folder)
    assert "Traceback" not in ended.text
