"""How a command line is read, what it leaves behind, and what it costs to answer without torch."""

import multiprocessing
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from firstlight import __version__
from firstlight.engine.runs.checkpoint_files import load_checkpoint
from firstlight.engine.runs.folders import claim_run_folder

SMALL = ("--config", "autograd_cubic", "--data.num_points=30", "--data.repeats=2", "--trainer.max_epochs=1")


def config(run="autograd_cubic/version_0"):
    return yaml.safe_load(Path("lightning_logs", run, "config.yaml").read_text())


def files(folder="."):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


def printed(answer):
    return yaml.safe_load(answer)


def test_run_is_one_folder(did):
    out = did("fit", *SMALL)
    did("validate")
    did("test")
    did("predict")
    run = "lightning_logs/autograd_cubic/version_0"
    assert [re.sub(r"tfevents.*", "tfevents", name) for name in files()] == [
        f"{run}/{name}"
        for name in (
            "checkpoints/best.ckpt",
            "checkpoints/last.ckpt",
            "config.yaml",
            "events.out.tfevents",  # the row in TensorBoard's table of runs
            "events.out.tfevents",
            "hparams.yaml",
            "predictions.csv",
            "run.json",
            "test.json",
            "validate.json",
        )
    ]
    first, epoch, best, *rest = out.splitlines()
    assert first == f"AutogradCubic, 4 parameters, on cpu in {run}"
    assert epoch.startswith("epoch 1/1  step 2  loss/train ")
    assert best.startswith("best:    loss/val ")
    assert rest == [
        f"run:     {run}",
        "curves:  firstlight tensorboard --logdir lightning_logs",
        "next:    firstlight test --run autograd_cubic/version_0",
    ]


def test_run_without_a_logger_writes_into_its_folder_only(did):
    did("fit", *SMALL, "--trainer.logger=false")
    run = "lightning_logs/autograd_cubic/version_0"
    assert files() == [
        f"{run}/{name}" for name in ("checkpoints/best.ckpt", "checkpoints/last.ckpt", "config.yaml", "run.json")
    ]


def test_run_goes_below_the_root_folder_under_the_name_it_is_given(did):
    did("fit", *SMALL, "--trainer.default_root_dir=deep/er", "--name=mine")
    did("test", "--run=mine", "--trainer.default_root_dir=deep/er")
    assert {str(Path(name).parents[-5]) for name in files()} == {"deep/er/lightning_logs/mine"}


def test_flags_win_over_configs_wherever_they_stand(did):
    did("fit", "--model.lr=3e-6", *SMALL)
    did("fit", *SMALL, "--model.lr=4e-6")
    Path("mine.yaml").write_text("model:\n  init_args:\n    lr: 1.0e-5\n")
    did("fit", "--model.lr", "5e-6", *SMALL, "-c", "mine.yaml", "--trainer.max_epochs=2", "--trainer.max_epochs", "1")
    for version, lr in enumerate((3e-6, 4e-6, 5e-6)):
        assert config(f"autograd_cubic/version_{version}")["model"]["init_args"]["lr"] == lr


def test_later_configs_win_over_earlier_ones(did):
    for name, epochs in (("few", 2), ("many", 9)):
        Path(f"{name}.yaml").write_text(f"trainer:\n  max_epochs: {epochs}\n")
    fit = ("fit", "-c", "autograd_cubic")
    assert printed(did(*fit, "-c", "few.yaml", "-c", "many.yaml", "--print_config"))["trainer"]["max_epochs"] == 9
    assert printed(did(*fit, "--config=many.yaml", "--config=few.yaml", "--print_config"))["trainer"]["max_epochs"] == 2


def test_config_of_this_folder_wins_over_one_of_the_package(did):
    Path("configs").mkdir()
    Path("configs/mlp.yaml").write_text("# Mine\nmodel: MLP\ndata: FashionMNIST\ntrainer:\n  max_epochs: 77\n")
    assert printed(did("fit", "-c", "mlp", "--print_config"))["trainer"]["max_epochs"] == 77
    assert re.search(r"^mlp +Mine$", did("configs"), re.MULTILINE)
    assert re.search(r"^presets/gpu +Train on one GPU$", did("configs"), re.MULTILINE)


def test_printed_config_runs(did):
    Path("mine.yaml").write_text(did("fit", *SMALL, "--model.lr=2e-6", "--print_config"))
    did("fit", "-c", "mine.yaml")
    assert config("mine/version_0")["model"]["init_args"]["lr"] == 2e-6


def test_config_of_a_run_runs_again_to_the_same_bits(did):
    did("fit", *SMALL)
    did("fit", "-c", "lightning_logs/autograd_cubic/version_0/config.yaml", "--name", "again")
    runs = Path("lightning_logs")
    first, second = (
        load_checkpoint(runs / name / "version_0/checkpoints/last.ckpt") for name in ("autograd_cubic", "again")
    )
    assert first["state_dict"]["coefficients"].tolist() == second["state_dict"]["coefficients"].tolist()


@pytest.mark.parametrize("preset", ["ddp", "fp16", "gpu"])
def test_preset_changes_nothing_but_what_it_says(preset, did):
    base = printed(did("fit", "-c", "mlp", "--print_config"))
    both = printed(did("fit", "-c", "mlp", "-c", f"presets/{preset}", "--print_config"))
    path = Path(__file__).parents[3] / "configs/presets" / f"{preset}.yaml"
    assert both == {**base, "trainer": {**base["trainer"], **yaml.safe_load(path.read_text())["trainer"]}}


@pytest.fixture
def on_images(did, fashion_root):
    """Return a function that fits the MLP to tiny images with a preset on top."""

    def run(preset, *flags):
        images = (
            "--data.root",
            fashion_root,
            "--data.batch_size=18",
            "--model.hidden_dims=[8]",
            "--trainer.accelerator=cpu",
        )
        return did("fit", "-c", "mlp", "-c", f"presets/{preset}", *images, *flags)

    return run


def test_debug_preset_runs_and_saves_nothing(on_images):
    assert "nothing was saved" in on_images("debug")
    assert not Path("lightning_logs").exists()


def test_overfit_preset_learns_two_batches_by_heart(on_images):
    lines = on_images("overfit", "--trainer.max_epochs=30", "--model.lr=0.1", "--model.init_std=null").splitlines()
    scores = [re.search(r"step (\d+) .*loss/train ([\d.e-]+)", line) for line in lines if line.startswith("epoch")]
    assert scores[-1][1] == "60"
    assert float(scores[-1][2]) < 0.5 * float(scores[0][2])


def test_profile_preset_writes_down_where_the_time_went(on_images):
    on_images("profile")
    assert "run_training_epoch" in Path("lightning_logs/mlp/version_0/fit-profile.txt").read_text()


def test_bf16_preset_computes_with_bfloat16(on_images):
    on_images("bf16", "--trainer.max_epochs=1")
    assert config("mlp/version_0")["trainer"]["precision"] == "bf16-mixed"


def test_deterministic_preset_refuses_what_is_not(on_images):
    on_images("deterministic", "--trainer.max_epochs=1")
    assert torch.are_deterministic_algorithms_enabled()


def test_resumed_run_prints_a_line_for_every_epoch_it_ends(did):
    many = ("fit", "-c", "autograd_cubic", "--data.num_points=30", "--data.repeats=4", "--data.batch_size=30")
    did(*many, "--trainer.max_steps=6", "--trainer.max_epochs=-1")
    out = did("fit", "--resume", "--trainer.max_steps=12")
    assert [line.split()[:4] for line in out.splitlines() if line.startswith("epoch")] == [
        ["epoch", "2", "step", "8"],
        ["epoch", "3", "step", "12"],
    ]


def test_runs_are_listed_and_compared(did):
    assert did("runs") == "no runs in lightning_logs: firstlight fit --config NAME makes one\n"
    did("fit", *SMALL)
    did("fit", *SMALL, "--model.lr=2e-6")
    head, second, first = did("runs").splitlines()
    assert head.split() == ["run", "status", "epochs", "score", "best", "start"]
    assert second.startswith("autograd_cubic/version_1  finished  1       loss/val  ")
    assert first.startswith("autograd_cubic/version_0  finished  1       loss/val  ")
    different = did("runs", "diff", "autograd_cubic/version_0", "autograd_cubic/version_1")
    keys = [line.split()[0] for line in different.splitlines()]
    assert keys == ["key", "best.score", "model.lr", "scores.loss/train", "scores.loss/val"]
    assert did("runs", "diff", "autograd_cubic", "autograd_cubic") == "the same settings and the same scores\n"


def test_run_is_reproduced_to_the_bit(did):
    did("fit", *SMALL)
    assert "reproduced: the 2 scores of autograd_cubic/version_0 are the same to the bit" in did(
        "reproduce", "autograd_cubic"
    )


@pytest.mark.parametrize("words", [["fit", "--run", "x"], ["test", "--resume", "x"], ["predict", "--name", "x"]])
def test_flag_of_another_verb_is_not_taken_and_forgotten(words, did, complaint):
    did("fit", *SMALL)
    verb, *rest = words
    assert complaint(verb, *SMALL, *rest)[0] == 2


@pytest.mark.parametrize("name", ["group/mine", "../mine"])
def test_name_of_a_run_leads_back_to_it_or_is_refused(name, firstlight):
    status, out, _ = firstlight("fit", *SMALL, "--name", name)
    assert not Path("mine").exists()
    if status == 0:
        command = re.search(r"next: +firstlight (.*)", out)[1]
        assert firstlight(*command.split()).status == 0


def _claims(folder, names):
    for _ in range(20):
        names.put(claim_run_folder(folder, "mine").name)


def test_runs_that_start_together_get_folders_of_their_own(tmp_path):
    context = multiprocessing.get_context("spawn" if sys.platform == "darwin" else "fork")
    names = context.Queue()
    processes = [context.Process(target=_claims, args=(tmp_path, names)) for _ in range(4)]
    for process in processes:
        process.start()
    claimed = [names.get(timeout=60) for _ in range(80)]
    for process in processes:
        process.join()
    assert sorted(claimed) == sorted(f"mine/version_{number}" for number in range(80))


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["configs"], ["runs"], ["new", "mine"], ["fitt"], ["fit", "--help"]]
)
def test_answer_that_needs_no_torch_does_not_wait_for_it(words):
    code = f"import sys; sys.argv = ['firstlight', *{words}]\nfrom firstlight.engine.cli import main\ntry: main()\n"
    code += "finally: print('torch' in sys.modules, 'lightning' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "False False"
    assert done.returncode == (2 if words == ["fitt"] else 0)


def test_package_is_a_program():
    done = subprocess.run([sys.executable, "-m", "firstlight", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"firstlight {__version__}\n"
    bare, helped = (
        subprocess.run([sys.executable, "-m", "firstlight", *words], capture_output=True, text=True, check=True).stdout
        for words in ([], ["--help"])
    )
    assert bare == helped
    assert all(re.search(rf"^  {verb} ", helped, re.MULTILINE) for verb in ("fit", "validate", "test", "predict"))
