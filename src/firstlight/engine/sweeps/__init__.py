"""A sweep: a hyperparameter search, shared by any number of workers.

``sweep`` is a worker's part in it. ``plan`` reads the sweep file; ``storage`` holds the trials and the workers' locks;
``study`` hands out trials and ``worker`` runs them; ``children`` starts processes for what is in ``fits``; ``results``
shows what came out.
"""
