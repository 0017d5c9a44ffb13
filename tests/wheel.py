"""Install the wheel into an environment of its own, and train, test and load from an empty folder.

    python tests/wheel.py dist    # the wheel in dist/, with all dependencies from the package index, as users get it
    python tests/wheel.py         # one that is built first, with the dependencies of the environment that runs this

The second needs no network. Both run on Linux, macOS and Windows.
"""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from tempfile import TemporaryDirectory

REPOSITORY = Path(__file__).resolve().parents[1]
LOAD = """
import firstlight

trained = firstlight.load("autograd_cubic")
trained.data.setup("test")
((x, y),) = trained.data.test_dataloader()
print(f"{trained.model.loss(trained.model(x), y):.5g}")
"""


def main(words: list[str]) -> None:
    """Do what the script says, in a temporary folder."""
    with TemporaryDirectory() as folder:
        command = install(Path(folder), *words)
        place = Path(folder, "empty")
        place.mkdir()
        run(command("firstlight"), "fit", "--config", "autograd_cubic", cwd=place)
        tested = run(command("firstlight"), "test", "--config", "autograd_cubic", cwd=place)
        loaded = run(command("python"), "-c", LOAD, cwd=place)
        assert f"loss/test {loaded.strip()}\n" in tested, f"the loaded model has loss {loaded}, tested: {tested}"
        run(command("firstlight"), "check", cwd=place)
        run(command("firstlight"), "new", "my-research", cwd=place)


def install(folder: Path, dist: str | None = None):
    """Install a wheel into a new environment; return a function from the name of a program to its path there.

    Args:
        folder: Where the environment goes.
        dist: Folder of the wheel, which is then installed with its dependencies.
    """
    if dist is None:
        run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder / "dist", cwd=REPOSITORY)
    (wheel,) = Path(dist or folder / "dist").glob("*.whl")
    place = folder / "environment"
    venv.create(place)
    paths = sysconfig.get_paths(scheme="venv", vars={"base": str(place), "platbase": str(place)})
    suffix = ".exe" if os.name == "nt" else ""

    def command(name: str) -> str:
        return str(Path(paths["scripts"], name + suffix))

    if dist is None:
        Path(paths["purelib"], "others.pth").write_text(sysconfig.get_path("purelib"))
    flags = [] if dist else ["--no-deps", "--no-index"]
    run(sys.executable, "-m", "pip", "--python", command("python"), "install", "--quiet", *flags, wheel)
    return command


def run(*words, cwd: Path | None = None) -> str:
    """Run a command that must succeed, say so, and return what it printed."""
    print("$", *words, flush=True)  # noqa: T201
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(words, cwd=cwd, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout, flush=True)  # noqa: T201
    done.check_returncode()
    return done.stdout


if __name__ == "__main__":
    main(sys.argv[1:])
