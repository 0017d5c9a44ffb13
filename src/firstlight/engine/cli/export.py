"""``firstlight export RUN --format FORMAT``: write a trained model as a file for other programs."""

from pathlib import Path
from typing import Any

from firstlight.engine.cli.help import command_parser
from firstlight.engine.files import make_folder, write_atomically
from firstlight.engine.packages import require
from firstlight.engine.runs.folders import relative_to_cwd
from firstlight.errors import UsageError

FORMATS = {
    "onnx": (".onnx", ("onnx", "onnxscript", "onnxruntime")),
    "torch_export": (".pt2", ()),
    "safetensors": (".safetensors", ("safetensors",)),
}
"""Suffix of the file, and the packages that write and check it."""


def export(words: list[str]) -> dict[str, Any]:
    """Write a run's model, and check that the file computes the same outputs.

    Raises:
        UsageError: If there is no such run, or the output is a folder.
        CheckpointError: If its checkpoint is missing or damaged.
        FirstlightError: If a package is missing, or the file would not compute what the model does.
    """
    parser = command_parser("export", has_run=True, has_root=True)
    parser.add_argument("--format", choices=FORMATS, required=True, help="what to write")
    parser.add_argument("--output", type=Path, help="the file to write (default: beside the checkpoint)")
    parser.add_argument("--last", action="store_true", help="the weights of the last step, not the best")
    options = parser.parse_args(words)
    suffix, needed = FORMATS[options.format]
    require(f"--format {options.format}", *needed)
    if options.output and options.output.is_dir():
        raise UsageError(f"--output {options.output}: this is a folder, not a file")

    from firstlight.engine.quiet import silence_lightning  # noqa: PLC0415
    from firstlight.engine.runs import exporting  # noqa: PLC0415  # it needs torch, and a mistake in what was typed does not
    from firstlight.engine.runs.loading import load  # noqa: PLC0415

    silence_lightning()
    trained = load(options.run, last=options.last, root=options.root)
    x = exporting.example_inputs(trained)
    exported = exporting.export_model(trained, options.format, x)
    difference = exporting.largest_difference(trained, exported, x)
    output = options.output or trained.checkpoint.with_suffix(suffix)
    make_folder(output.parent)
    write_atomically(output, exported.content)
    print(f"weights: {relative_to_cwd(trained.checkpoint)}")
    print(
        f"model:   {relative_to_cwd(output)}, {len(exported.content):,} bytes, "
        f"outputs differ by at most {difference:.2g} over {len(x):,} examples"
    )
    return {"weights": str(trained.checkpoint), "model": str(output), "difference": difference, "examples": len(x)}
