"""What ``make docs`` tells Sphinx: the pages as they are, and the reference from the docstrings."""

from sphinx.application import Sphinx

from firstlight import __version__

project, release, author = "firstlight", __version__, "The firstlight authors"
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "myst_parser"]
root_doc = "docs/README"
include_patterns = ["*.md", "docs/*.md", "docs/*.rst"]
html_theme = "furo"
autodoc_default_options = {"members": True, "show-inheritance": True, "member-order": "bysource"}
default_role = "code"
toc_object_entries = False
suppress_warnings = ["myst.xref_missing"]  # links to folders; the tests check that each link has its file

CONTENTS = """
```{toctree}
:hidden:
:glob:

your-own-project
reference
*
../CHANGELOG
../CONTRIBUTING
../AGENTS
../SECURITY
README in English <../README>
README en español <../README.es>
README 中文 <../README.zh-CN>
```
"""


def setup(app: Sphinx) -> None:
    """Give the list of pages, which is plain Markdown, the contents that Sphinx wants."""
    app.connect("source-read", lambda _, name, source: source.append(source.pop() + CONTENTS * (name == root_doc)))
