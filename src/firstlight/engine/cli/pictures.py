"""``firstlight pictures RUN``: write a run's pictures as files, for a paper or a talk."""

from pathlib import Path
from typing import Any

from firstlight.engine.cli.help import command_parser
from firstlight.engine.runs.folders import relative_to_cwd
from firstlight.errors import UsageError


def pictures(words: list[str]) -> dict[str, Any]:
    """Draw the model of a run's last step, as TensorBoard shows it at the end, and write a file for each picture.

    Raises:
        UsageError: If there is no such run, or the output is a file.
        CheckpointError: If its checkpoint is missing or damaged.
    """
    parser = command_parser("pictures", has_run=True, has_root=True)
    parser.add_argument("--format", choices=["png", "svg"], default="png", help="what to write (default: png)")
    parser.add_argument("--output", type=Path, help="folder to write to (default: pictures/ in the run's folder)")
    options = parser.parse_args(words)
    if options.output and options.output.is_file():
        raise UsageError(f"--output {options.output}: this is a file, not a folder")

    from firstlight.engine.callbacks.tensorboard.pictures import run_pictures  # noqa: PLC0415  # it needs torch
    from firstlight.engine.files import make_folder, write_atomically  # noqa: PLC0415
    from firstlight.engine.runs.loading import load  # noqa: PLC0415
    from firstlight.plots.style import to_bytes  # noqa: PLC0415

    trained = load(options.run, last=True, root=options.root)
    home = trained.checkpoint.absolute().parent
    folder = options.output or (home.parent if home.name == "checkpoints" else home) / "pictures"
    make_folder(folder)
    print(f"weights: {relative_to_cwd(trained.checkpoint)}")
    figures = dict(run_pictures(trained))
    paths = {tag: folder / f"{tag.replace(' ', '_')}.{options.format}" for tag in figures}
    for tag, path in paths.items():
        write_atomically(path, to_bytes(figures[tag], options.format))
        print(f"picture: {relative_to_cwd(path)}")
    if "learning curves" not in figures:
        print("left out: learning curves, as the run kept no scores (--pictures none)")
    return {"weights": str(trained.checkpoint), "pictures": {tag: str(path) for tag, path in paths.items()}}
