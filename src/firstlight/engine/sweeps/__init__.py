"""A sweep: many runs that differ in what is searched, shared by any number of workers.

``plan`` reads the file that says what is searched; ``children`` does things in processes of their own, and
``fits`` is what they do; ``locks`` and ``study`` share the trials; ``results`` and ``pictures`` say what came out.
"""
