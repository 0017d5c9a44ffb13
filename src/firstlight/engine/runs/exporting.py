"""Export a trained model as a file (ONNX, torch.export or safetensors), and compare its outputs with the model's."""

import copy
import inspect
import io
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from lightning.pytorch.utilities import CombinedLoader
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor

from firstlight.data.data_module import DataModule
from firstlight.engine.quiet import silenced
from firstlight.engine.runs.checkpoint_files import CheckpointFile
from firstlight.engine.runs.loading import Trained, load_from
from firstlight.engine.runs.safetensors_files import read_safetensors, to_safetensors
from firstlight.engine.texts import in_short
from firstlight.errors import FirstlightError
from firstlight.tasks import Classification, Regression

HINT = "set self.example_input_array in the model's __init__ to inputs that it takes"
TOLERANCE = 1e-4  # relative to the largest output; another order of summation changes a hundredth of that


class Exported(NamedTuple):
    """The content of an exported file, and a function that runs the model in it."""

    content: bytes
    run: Callable[[Tensor], Tensor]


def example_inputs(trained: Trained) -> Tensor:
    """Return the inputs of the first batch of the run's prediction data; else the model's ``example_input_array``.

    Raises:
        FirstlightError: If there are none, or the model's ``forward`` does not take them, or returns no tensor.
    """
    model, example = trained.model, trained.model.example_input_array
    x = None
    try:
        x = None if isinstance(example, Tensor) and trained.data is None else _first_inputs(trained)
    except FirstlightError:
        if not isinstance(example, Tensor):
            raise
    if isinstance(example, Tensor) and (x is None or x.shape[1:] != example.shape[1:]):
        x = example
    name = type(model).__name__
    try:
        with torch.no_grad():
            output = model(x)
    except Exception as error:  # code of the user's own may raise anything
        message = f"{name}.forward does not take the inputs of its data: {in_short(error)}\n{HINT}"
        raise FirstlightError(message) from error
    if not (isinstance(output, Tensor) and isinstance(x, Tensor) and output.numel()):
        kind = "tensor without values" if isinstance(output, Tensor) else type(output).__name__
        raise FirstlightError(f"{name} cannot be exported: its forward returns a {kind}, and must return a tensor")
    return x


def _first_inputs(trained: Trained) -> Tensor:
    source = trained.data or trained.model
    if not is_overridden("predict_dataloader", source):
        what, hint = f"{type(source).__name__} has no predict_dataloader", ""
        if trained.data is None:
            what, hint = f"{trained.checkpoint} does not name its data", f"\n{HINT}"
        raise FirstlightError(f"{what}, which the exported file is checked with{hint}")
    if trained.data is None:
        source = copy.deepcopy(source)  # its setup may change buffers
    source.prepare_data()
    source.setup("predict")
    loaders = source.predict_dataloader()
    loaders = loaders if isinstance(loaders, CombinedLoader) else CombinedLoader(loaders)
    batch = next(iter(loaders.flattened[0]))
    name = next(iter(inspect.signature(trained.model.forward).parameters), "")
    x, where = batch, "as its first entry"
    if isinstance(batch, list | tuple):
        x = batch[0]
    elif isinstance(batch, Mapping):
        x, where = batch.get(name), f"called {name!r}, as forward takes it"
    if not isinstance(x, Tensor):
        kind = type(source).__name__
        message = f"{kind}: a batch of predict_dataloader needs a tensor {where}, to export the model"
        raise FirstlightError(f"{message}\n{HINT}")
    return x


def export_model(trained: Trained, file_format: str, x: Tensor) -> Exported:
    """Export a model for batches of any size.

    Args:
        trained: The model.
        file_format: ``onnx``, ``torch_export`` or ``safetensors``.
        x: Inputs of shape ``(batch, ...)``; only their shape and type matter.

    Raises:
        FirstlightError: If the model cannot be expressed in that format.
    """
    write = {"onnx": _onnx, "torch_export": _torch_export, "safetensors": _safetensors}[file_format]
    try:
        with silenced(), torch.no_grad():
            return write(trained, x[[0, 0]])  # with one example, a tracer fixes the batch size to one
    except Exception as error:  # a tracer may raise anything
        name = type(trained.model).__name__
        raise FirstlightError(f"{name} cannot be exported as {file_format}: {in_short(error)}") from error


def largest_difference(trained: Trained, exported: Exported, x: Tensor) -> float:
    """Return the largest difference between the outputs of the exported file and the model, in a batch and alone.

    Raises:
        FirstlightError: If it is larger than rounding explains.
    """
    with torch.no_grad():
        outputs = [(trained.model(batch), exported.run(batch)) for batch in (x, x[:1])]
    if any(expected.shape != actual.shape for expected, actual in outputs):
        raise FirstlightError("the exported model's outputs have another shape than the model's: not written")
    plain = [[part.to(torch.complex128) for part in pair] for pair in outputs]  # truth values cannot be subtracted
    largest = max(float((actual - expected).abs().max()) for expected, actual in plain)
    if not largest <= TOLERANCE * max(1.0, float(plain[0][0].abs().max())):
        raise FirstlightError(f"the exported model's outputs differ by {largest:.2g} from the model's: not written")
    return largest


def _onnx(trained: Trained, x: Tensor) -> Exported:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else it writes an id into the home folder, and reports
    import onnxruntime  # noqa: PLC0415  # an extra

    (name, *_), output = inspect.signature(trained.model.forward).parameters, _output_name(trained)
    program = torch.onnx.export(
        trained.model,
        (x,),
        input_names=[name],
        output_names=[output],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        dynamo=True,
        verbose=False,
    )
    content = program.model_proto.SerializeToString()  # type: ignore[union-attr]  # not None, as no file is given
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return Exported(content, lambda x: torch.from_numpy(session.run([output], {name: x.numpy()})[0]))


def _torch_export(trained: Trained, x: Tensor) -> Exported:
    program = torch.export.export(trained.model, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    file = io.BytesIO()
    torch.export.save(program, file, extra_files={"outputs.json": json.dumps([_output_name(trained)])})
    content = file.getvalue()
    return Exported(content, torch.export.load(io.BytesIO(content)).module())


def _safetensors(trained: Trained, _: Tensor) -> Exported:
    state = trained.data.state_dict() if isinstance(trained.data, DataModule) else None
    content, path = to_safetensors(trained.model.state_dict(), trained.config, state), Path("model.safetensors")
    return Exported(content, load_from(None, CheckpointFile(path, read_safetensors(path, content))).model)


def _output_name(trained: Trained) -> str:
    names = {Classification: "logits", Regression: "prediction"}
    return next((name for kind, name in names.items() if isinstance(trained.model, kind)), "output")
