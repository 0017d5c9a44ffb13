import json
import math

import pytest

from firstlight.engine.texts import in_short, printable, strict_json


def test_control_characters_are_escaped():
    assert printable("a\x1b[2J\n\x9b\ud800\u202eé中") == r"a\x1b[2J\n\x9b\ud800\u202eé中"


def test_json_has_no_number_that_other_programs_cannot_read():
    assert json.loads(strict_json({"loss": math.nan, "best": [math.inf, 0.5]})) == {"loss": None, "best": [None, 0.5]}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KeyError("mine"), "KeyError: 'mine'"),
        (AssertionError(), "AssertionError:"),
        (ValueError("a hint\nof four words"), "a hint of four words"),
        (RuntimeError("word " * 50), "word " * 29 + "word"),
    ],
)
def test_error_is_named_by_its_type_where_its_words_say_little(error, words):
    assert in_short(error) == words
