"""Sphinx configuration: pages in MyST Markdown, the API from docstrings, torch's names from a committed inventory."""

import sys
from pathlib import Path

import flexkern

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))

project = "flexkern"
author = "The flexkern authors"
copyright = author
release = flexkern.__version__
version = release

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "public_names",
]
exclude_patterns = ["_build", "_extensions"]
html_theme = "furo"
html_title = f"flexkern {release}"
html_copy_source = False

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

default_role = "code"  # single backticks in docstrings are code
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False  # those of nn.Module do not describe a layer
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 100
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = ["Shape"]

# The build works offline: the inventory lists the names of torch that signatures and docstrings use.
intersphinx_mapping = {"torch": ("https://docs.pytorch.org/docs/stable/", "torch_inventory.txt")}
