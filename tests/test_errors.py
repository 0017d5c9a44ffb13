from pathlib import Path

import pytest

from firstlight import errors


@pytest.mark.parametrize("name", [name for name in errors.__all__ if name.endswith("Error")])
def test_mistake_in_what_was_typed_ends_with_2_and_any_other_with_1(name):
    kind = getattr(errors, name)
    assert issubclass(kind, errors.FirstlightError)
    assert kind.exit_status == (2 if name == "UsageError" else 1)


@pytest.mark.parametrize(
    ("word", "known", "end"),
    [
        ("mpl", ["mlp", "neuron"], "; did you mean 'mlp'?"),
        ("resnet", ["mlp", "neuron"], "; configs: mlp, neuron"),
        ("mlp", [], "; there are no configs yet"),
    ],
)
def test_suggestion_is_the_closest_name_or_all_names(word, known, end):
    assert errors.suggestion(word, iter(known), "configs") == end


def test_nan_names_the_last_good_checkpoint_if_there_is_one():
    assert "nothing was learned before" in str(errors.NotFiniteError("the loss is nan at step 3", None))
    message = str(errors.NotFiniteError("the loss is nan at step 3", Path("last.ckpt")))
    assert message.startswith("the loss is nan at step 3\n")
    assert "last.ckpt" in message.splitlines()[1]
