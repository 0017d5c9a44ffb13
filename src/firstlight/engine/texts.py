"""Texts that a terminal shows and programs read. Every command needs them, so nothing here takes long to import."""

import json
from typing import Any


def strict_json(content: Any) -> str:
    """Return content as JSON that any program reads: no NaN and no infinity, null in their place."""
    plain = json.loads(json.dumps(content, default=str), parse_constant=lambda _: None)
    return json.dumps(plain, indent=2, allow_nan=False)


def printable(text: str) -> str:
    """Return a text with its control characters escaped: what a file said must not steer a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def in_short(error: BaseException) -> str:
    """Return what an error says, in thirty words at most; with its type, where the words alone say little."""
    words = str(error).split()[:30]
    return " ".join(words if len(words) > 3 else [f"{type(error).__name__}:", *words])
