"""``firstlight runs rm`` and ``runs archive``."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from firstlight.engine.runs.folders import Run, claim_run_folder
from firstlight.engine.runs.locks import lock_run

LOGS = Path("lightning_logs")


@pytest.fixture(autouse=True)
def three():
    """Write three runs, one of another name."""
    for name in ("mlp", "mlp", "wide"):
        folder = claim_run_folder(Path(), name).folder
        (folder / "run.json").write_text(json.dumps({"status": "finished", "start": folder.name, "note": "old"}))
        (folder / "checkpoints").mkdir()
        (folder / "checkpoints/last.ckpt").write_bytes(bytes(2_000_000))


def remaining():
    return sorted(Run(path).name for path in LOGS.glob("*/*"))


def test_removed_runs_are_listed_and_gone(did):
    out = did("runs", "rm", "mlp/version_0", "--yes", LOGS / "wide/version_0", "mlp/version_0")
    assert [line.split() for line in out.splitlines()[1:]] == [
        ["lightning_logs/mlp/version_0", "finished", "2.0", "MB", "old"],
        ["lightning_logs/wide/version_0", "finished", "2.0", "MB", "old"],
    ]
    assert remaining() == ["mlp/version_1"]
    assert not (LOGS / "wide").exists()


def test_archived_run_is_not_listed_and_can_be_put_back(did, complaint):
    out = did("runs", "archive", "mlp", "--yes")
    assert "mlp/version_1" not in did("runs")
    assert out.splitlines()[-1] == "to put it back: mv lightning_archive/mlp/version_1 lightning_logs/mlp/version_1"
    assert claim_run_folder(Path(), "mlp").version == 2  # the place of an archived run is not taken
    shutil.move(*out.splitlines()[-1].split()[-2:])
    assert (LOGS / "mlp/version_1/checkpoints/last.ckpt").is_file()
    shutil.copytree(LOGS / "mlp/version_1", "lightning_archive/mlp/version_1")
    assert complaint("runs", "archive", "mlp/version_1", "--yes")[1].endswith("version_1 is there already")
    did("runs", "rm", "lightning_archive/mlp/version_1", "--yes")
    assert not Path("lightning_archive/mlp").exists()


@pytest.mark.parametrize("action", ["rm", "archive"])
def test_nothing_goes_unasked(action, did, complaint, monkeypatch):
    assert complaint("runs", action, "mlp") == (
        2,
        f"firstlight runs {action} asks first, and there is no terminal: add --yes",
    )
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    for answer in ("", "n", "no", "maybe"):
        monkeypatch.setattr("builtins.input", lambda _, answer=answer: answer)
        assert did("runs", action, "mlp").endswith("all are still there\n")
    assert len(remaining()) == 3


@pytest.mark.parametrize("action", ["rm", "archive"])
def test_run_in_use_and_what_is_no_run_stay(action, complaint):
    with lock_run(Run(LOGS / "mlp/version_1")):
        assert complaint("runs", action, "wide", "mlp", "--yes")[1].startswith("lightning_logs/mlp/version_1 is in use")
    (LOGS / "mlp/version_1/run.json").write_text(json.dumps({"status": "running", "host": "elsewhere"}))
    assert complaint("runs", action, "wide", "mlp/version_1", "--yes")[1].endswith("or stop it first")
    Path("mine/version_0").mkdir(parents=True)
    assert complaint("runs", action, "mine/version_0", "--yes") == (2, "mine/version_0 is in no folder lightning_logs")
    assert len(remaining()) == 3
    assert Path("mine/version_0").exists()


@pytest.mark.parametrize("action", ["rm", "archive"])
def test_no_link_is_followed(action, did, complaint):
    Path("elsewhere").mkdir()
    Path("elsewhere/file").touch()
    (LOGS / "mlp/version_5").symlink_to(Path("elsewhere").absolute())
    assert "is a link" in complaint("runs", action, "mlp/version_5", "--yes")[1]
    (LOGS / "mlp/version_1/data").symlink_to(Path("elsewhere").absolute())
    did("runs", action, "mlp/version_1", "--yes")
    assert Path("elsewhere/file").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    {
        ("rm",): "firstlight runs rm takes runs (NAME, NAME/version_N or a folder each) and --yes",
        ("diff", "mlp", "wide", "--yes"): "firstlight runs diff takes two runs (NAME, NAME/version_N or a folder each)",
        ("--yes",): "firstlight runs takes a name or text, --group; or: diff A B",
        ("rm", "deep"): "no run 'deep' in lightning_logs",
    }.items(),
    ids=str,
)
def test_words_and_flags_that_do_not_belong_together_are_refused(words, message, complaint):
    assert complaint("runs", *words)[1].startswith(message)
    assert len(remaining()) == 3
