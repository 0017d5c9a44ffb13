"""One ``fit``, ``validate``, ``test`` or ``predict``: from what was typed to the last line that is printed."""
