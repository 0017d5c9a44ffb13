"""Conditions: recorded, and compared between receipts of any age."""

import sys

import pytest

from firstlight import __version__
from firstlight.engine.runs.conditions import compare_conditions, current_conditions, differences
from firstlight.errors import UsageError


def test_conditions_name_versions_threads_and_processor():
    found = current_conditions("cpu", 1)
    assert found["versions"]["firstlight"] == __version__
    assert found["versions"]["python"] == sys.version.split()[0]
    assert found["threads"] == 1
    assert found["processor"]


def test_differences_are_of_what_both_receipts_hold():
    before = {"threads": 4, "versions": {"torch": "2.11"}, "git": {"commit": "a" * 40, "dirty": False}}
    now = {"threads": 1, "versions": {"torch": "2.13", "lightning": "2.6"}, "git": {"commit": "a" * 40, "dirty": True}}
    assert differences(before, now) == [
        "threads 4 -> 1",
        "torch 2.11 -> 2.13",
        "code aaaaaaaa -> aaaaaaaa with changes",
    ]
    assert differences({}, now) == differences(now, {}) == differences(now, now) == []


@pytest.mark.parametrize("odd", [{"versions": 1, "git": "x"}, {"versions": {"torch": [1]}, "git": {"commit": {}}}])
def test_odd_receipt_can_be_compared(odd):
    assert differences(odd, odd) == []


def test_control_characters_of_a_receipt_are_not_printed(capsys):
    compare_conditions("resumed", {"processor": "\x1b[2J"}, {"processor": "x"}, strict=False)
    assert "\x1b" not in capsys.readouterr().err


def test_strict_makes_a_difference_an_error(capsys):
    with pytest.raises(UsageError, match="resumed under other conditions: threads 4 -> 1"):
        compare_conditions("resumed", {"threads": 4}, {"threads": 1}, strict=True)
    compare_conditions("resumed", {"threads": 1}, {"threads": 1}, strict=True)
    assert capsys.readouterr().err == ""
