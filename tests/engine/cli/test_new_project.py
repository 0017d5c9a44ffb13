"""What firstlight promises of its own models holds for those of a project; what is wrong with one is said in a line."""

import sys
from pathlib import Path

import pytest
import torch

import firstlight as package

sys.path.insert(0, str(Path(__file__).parents[2] / "faults"))

from harness import differences, firstlight, left_behind

FIT = ("fit", "--config", "small_mlp", "--trainer.max_epochs=3", "--data.num_points=100", "--updates_per_batch=3")
CONFIG, MODELS, DATA = "configs/small_mlp.yaml", "src/my_research/models.py", "src/my_research/data.py"


@pytest.fixture
def written(did):
    """Return a function that writes a project, and installs it as far as programs that the harness starts can see."""

    def write(folder, *flags):
        did("new", folder, *flags)
        door = Path(folder).absolute() / ".door"
        info = door / "my_research-0.1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-research\nVersion: 0.1.0\n")
        (info / "entry_points.txt").write_text("[firstlight.packages]\nmy_research = my_research\n")
        (door / "my_research").symlink_to("../src/my_research")
        return door.parent

    return write


@pytest.mark.slow
@pytest.mark.parametrize("flags", [[], ["--data.num_workers=1", "--data.jitter=0.1"]])
def test_killed_run_of_a_project_goes_on_to_the_same_bits_and_its_best_weights_are_scored(flags, written):
    kind = f"--data={'loader' if flags else 'memory'}"
    unbroken, killed = written("unbroken/my-research", kind), written("killed/my-research", kind)
    assert firstlight(unbroken, *FIT, *flags).status == 0
    assert firstlight(killed, *FIT, *flags, fault={"do": "SIGKILL", "step": 7}).status == -9
    resumed = firstlight(killed, "fit", "--resume")
    assert resumed.status == 0, resumed.text
    assert not list(differences(left_behind(unbroken), left_behind(killed)))
    run = "lightning_logs/small_mlp/version_0"
    assert firstlight(killed, "test").text.startswith(f"weights: {run}/checkpoints/best.ckpt, epoch ")
    assert "are bit-identical" in firstlight(killed, "reproduce", "small_mlp").text
    assert firstlight(killed, "configs").text.splitlines()[1].startswith("small_mlp ")


@pytest.mark.parametrize(
    ("data", "count", "model"), [pytest.param("images", 120, "16,578", marks=pytest.mark.slow), ("table", 1, "387")]
)
def test_project_on_files_has_examples_to_begin_with(data, count, model, written):
    folder = written("my-research", f"--data={data}")
    assert len([path for path in (folder / "data").rglob("*") if path.is_file()]) == count
    assert not (folder / "src/my_research/data.py").exists()
    assert "TwoMoons" not in (folder / "README.md").read_text()
    assert firstlight(folder, "check").text.startswith("ok       small_mlp\n")
    assert f"SmallMLP, {model} parameters" in firstlight(folder, "fit", "--config=small_mlp").text


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
        [(CONFIG, "hidden_dim", "hiden_dim")],
        "model.hiden_dim (configs/small_mlp.yaml, line 13): model (SmallMLP) has no setting 'hiden_dim'; "
        "did you mean 'model.hidden_dim'?",
    ),
    "class renamed": (
        [(DATA, "TwoMoons", "ThreeMoons")],
        "data (configs/small_mlp.yaml, line 17): there is no class 'TwoMoons'; did you mean 'ThreeMoons'?",
    ),
    "import of what is not there": (
        [(MODELS, "import Classification", "import Clasification")],
        "my_research.models cannot be imported: cannot import name 'Clasification' from 'firstlight' "
        "({package}/__init__.py) (.door/my_research/models.py, line 5)\nFIRSTLIGHT_DEBUG=1 shows the traceback",
    ),
    "bracket left open": (
        [(MODELS, "(num_classes, lr)", "(num_classes, lr")],
        "my_research.models cannot be imported: '(' was never closed (.door/my_research/models.py, line 30)\n"
        "FIRSTLIGHT_DEBUG=1 shows the traceback",
    ),
    "name that firstlight has": (
        [(file, "SmallMLP", "MLP") for file in (CONFIG, MODELS)],
        "model (configs/small_mlp.yaml, line 11): more than one class is called 'MLP': "
        "name it as one of firstlight.MLP, my_research.models.MLP",
    ),
    "no forward": (
        [(MODELS, "def forward", "def foward")],
        "model (configs/small_mlp.yaml, line 11): SmallMLP is abstract: it has no forward",
    ),
    "mistake in __init__": (
        [(MODELS, "nn.Sequential", "nn.Sequental")],
        "SmallMLP (configs/small_mlp.yaml, line 11): AttributeError: module 'torch.nn' has no attribute 'Sequental' "
        "(.door/my_research/models.py, line 32)\nFIRSTLIGHT_DEBUG=1 shows the traceback",
    ),
    "layers that do not fit": (
        [(MODELS, "nn.Linear(hidden_dim,", "nn.Linear(32,")],
        "model and data do not fit each other: an example has 64 numbers where a layer takes 32, in net.2, "
        "Linear(in_features=32, out_features=2, bias=True) (.door/my_research/models.py, line 40)\n"
        "set sizes in --model or --data",
    ),
    "too few classes": (
        [
            (DATA, 'classes = ("upper", "lower")', "classes = ()"),
            (MODELS, "num_classes: PositiveInt = 2", "num_classes: int = 1"),
        ],
        "model and data do not fit each other: class 1, but num_classes is 1\nset sizes in --model or --data",
    ),
    "outputs and targets of other shapes": (
        [(MODELS, "Classification", "Regression"), (MODELS, "(num_classes, lr)", "(lr)")],
        "model and data do not fit each other: Using a target size (torch.Size([80])) that is different to "
        "the input size (torch.Size([80, 2]))\n"
        "outputs and targets need the same shape: (batch, 1) for one number each",
    ),
    "classes with a fraction": (
        [(DATA, "generator=random), y\n", "generator=random), y.float()\n")],
        "model and data do not fit each other: {complaint}\n"
        "class numbers need the type torch.long and the shape (batch,); "
        "Table makes classes of numbers by --data.kind class",
    ),
    "no validation data": (
        [(DATA, "self.val, ", ""), (DATA, "range(3)", "range(2)")],
        "TwoMoons has no val: its setup() must set train, val and test",
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
    with pytest.raises(RuntimeError) as complaint:  # in torch's words, which differ from version to version
        torch.nn.functional.cross_entropy(torch.zeros(1, 2), torch.zeros(1))
    assert ended.status in (1, 2)
    _, _, said = ended.text.partition("error: ")
    assert said.strip() == message.format(package=Path(package.__file__).parent, complaint=complaint.value)
    assert "Traceback" not in ended.text
