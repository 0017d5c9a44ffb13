"""A trained model as a file for other programs (ONNX, torch.export, safetensors), and what such a file computes."""

import contextlib
import inspect
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor

from firstlight.engine.runs.loading import Trained, load
from firstlight.engine.runs.safetensors_files import to_safetensors
from firstlight.errors import FirstlightError
from firstlight.tasks import Classification, Regression

__all__ = ["Exported", "example_inputs", "export_model", "largest_difference"]

TOLERANCE = 1e-4  # of the largest output; other orders of summation make a hundredth of that


class Exported(NamedTuple):
    """The content of a model file, and the model as it is in there."""

    content: bytes
    run: Callable[[Tensor], Tensor]


def example_inputs(trained: Trained) -> Tensor:
    """Return real inputs: those of the first batch of the data that predictions are made for.

    Raises:
        FirstlightError: If the run's data is not known, or is not for predictions.
    """
    if trained.data is None:
        raise FirstlightError(f"{trained.checkpoint} does not say of which data it is: there is nothing to check with")
    trained.data.prepare_data()
    trained.data.setup("predict")
    try:
        batch = next(iter(trained.data.predict_dataloader()))
    except MisconfigurationException as error:
        raise FirstlightError(f"{type(trained.data).__name__} needs a predict_dataloader, to check with") from error
    x: Tensor = batch if isinstance(batch, Tensor) else batch[0]
    return x


def export_model(trained: Trained, form: str, x: Tensor) -> Exported:
    """Return a model as a file that takes batches of any size.

    Args:
        trained: The model.
        form: ``onnx``, ``torch_export`` or ``safetensors``.
        x: Inputs of shape ``(batch, ...)``; only their shape and type count.

    Raises:
        FirstlightError: If the model cannot be expressed in that format.
    """
    write = {"onnx": _onnx, "torch_export": _torch_export, "safetensors": _safetensors}[form]
    try:
        with _silence(), torch.no_grad():
            return write(trained, x[[0, 0]])  # traced with one example, a batch would be taken to be always one
    except Exception as error:  # whatever a tracer stumbles over in a model
        reason = " ".join(str(error).split()[:30])
        raise FirstlightError(f"{type(trained.model).__name__} cannot be exported as {form}: {reason}") from error


def largest_difference(trained: Trained, exported: Exported, x: Tensor) -> float:
    """Return by how much outputs of the file differ at most from those of the model, in a batch and alone.

    Raises:
        FirstlightError: If that is more than rounding explains.
    """
    with torch.no_grad():
        outputs = [(trained.model(batch), exported.run(batch)) for batch in (x, x[:1])]
    largest = max(float((actual - expected).abs().max()) for expected, actual in outputs)
    if not largest <= TOLERANCE * max(1.0, float(outputs[0][0].abs().max())):
        raise FirstlightError(f"the exported model's outputs differ by {largest:.2g} from the model's: not written")
    return largest


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep to itself what exporters say, in four ways, about their own work."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def _onnx(trained: Trained, x: Tensor) -> Exported:
    import onnxruntime  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415  # an extra

    (name, *_), output = inspect.signature(trained.model.forward).parameters, _output(trained)
    program = torch.onnx.export(
        trained.model,
        (x,),
        input_names=[name],
        output_names=[output],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        dynamo=True,
        verbose=False,
    )
    content = program.model_proto.SerializeToString()  # type: ignore[union-attr]  # without a file it returns one
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return Exported(content, lambda x: torch.from_numpy(session.run([output], {name: x.numpy()})[0]))


def _torch_export(trained: Trained, x: Tensor) -> Exported:
    program = torch.export.export(trained.model, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    file = io.BytesIO()
    torch.export.save(program, file, extra_files={"outputs.json": json.dumps([_output(trained)])})
    content = file.getvalue()
    return Exported(content, torch.export.load(io.BytesIO(content)).module())


def _safetensors(trained: Trained, _: Tensor) -> Exported:
    content = to_safetensors(trained.model.state_dict(), trained.config)
    with TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        path.write_bytes(content)
        return Exported(content, load(path).model)


def _output(trained: Trained) -> str:
    """Return what the numbers that a model gives are called."""
    names = {Classification: "logits", Regression: "prediction"}
    return next((name for kind, name in names.items() if isinstance(trained.model, kind)), "output")
