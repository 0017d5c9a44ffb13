import json
import math

from firstlight.engine.texts import printable, strict_json


def test_control_characters_are_escaped():
    assert printable("a\x1b[2J\n\x9b\ud800\u202eé中") == r"a\x1b[2J\n\x9b\ud800\u202eé中"


def test_json_has_no_number_that_other_programs_cannot_read():
    assert json.loads(strict_json({"loss": math.nan, "best": [math.inf, 0.5]})) == {"loss": None, "best": [None, 0.5]}
