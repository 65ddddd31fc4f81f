"""The directive ``public-names PACKAGE``, and cross-references that name an object by its module.

The directive documents every name that the package's ``__init__`` imports from its own modules. A name that the top
package exports as well is documented once, on the page that lists it there.
"""

from __future__ import annotations

import importlib
import inspect
import re
import types
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

TOP = "flexkern"
DIMENSIONS = ("", "2d")
"""Endings tried for the base class of a family: ``FlexConv`` is documented as ``FlexConv2d``."""
LONGEST_VALUE = 100
"""Characters of a constant that are shown."""
STAR = re.compile(r"(``.+?``|`[^`]+`|\*\*?\w[^*]*?(?<=\S)\*\*?(?!\w))|(?<![\w\\])\*(?=\S)")
"""Code and emphasis, or a star that is neither, as in the shape ``(batch, *signal)``."""
TYPE = ":type: "


class PublicNames(SphinxDirective):
    """Document the names that a package exports."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        package = importlib.import_module(self.arguments[0])
        lines = ["```{eval-rst}"]
        for name, value in public_names(package).items():
            lines += [*entry(package.__name__, name, value), ""]
        return self.parse_text_to_nodes("\n".join([*lines, "```"]))


def public_names(package: types.ModuleType) -> dict[str, Any]:
    """Return the names that a package exports and the top package does not, in the order of their import."""
    top = importlib.import_module(TOP)
    names = {}
    for name, value in vars(package).items():
        hidden = name.startswith("_") or isinstance(value, types.ModuleType | bool)
        if hidden or getattr(top, name, None) is value:
            continue
        home = getattr(value, "__module__", package.__name__)
        if str(home).startswith(TOP):
            names[name] = value
    return names


def entry(package: str, name: str, value: Any) -> list[str]:
    """Return the reStructuredText that documents one object."""
    if inspect.isclass(value):
        return [f".. autoclass:: {package}.{name}", "   :members:", "   :inherited-members: Module, tuple, dict"]
    if inspect.isroutine(value):
        return [f".. autofunction:: {package}.{name}"]
    text = repr(value)
    shown = [f"   :value: {text}"] if len(text) < LONGEST_VALUE else []
    return [f".. py:data:: {package}.{name}", *shown]


def correct_docstring(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Escape stars that reStructuredText would read as emphasis; keep the first words of a property.

    Napoleon reads ``The horizon: samples per axis`` as a description with the type ``The horizon``.
    """
    for number, line in enumerate(lines):
        lines[number] = STAR.sub(lambda match: match[1] or r"\*", line)
    types_read = [line for line in lines if line.startswith(TYPE)]
    if what in ("attribute", "property") and types_read:
        lines.remove(types_read[0])
        lines[0] = f"{types_read[0].removeprefix(TYPE)}: {lines[0]}"


def rename_target(app: Sphinx, env: Any, node: pending_xref, content: Any) -> None:
    """Replace the module of a target by the public one; another handler then resolves it.

    ``flexkern.layers.flexconv.FlexConv`` becomes ``flexkern.FlexConv2d``, ``torch.nn.modules.conv.Conv2d`` becomes
    ``torch.nn.Conv2d``.
    """
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    if target.startswith("torch.nn."):
        node["reftarget"] = f"torch.nn.{target.rsplit('.', 1)[1]}"
        return None
    domain = env.get_domain("py")
    for public in documented(domain.objects, target.rsplit(".", 1)[-1]):
        return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", public, node, content)
    return None


def documented(objects: dict[str, Any], name: str) -> list[str]:
    """Return the documented objects of that name, or of the two-dimensional class of its family."""
    matches = []
    for ending in DIMENSIONS:
        matches += [full for full in objects if full.rsplit(".", 1)[-1] == name + ending]
    return matches


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive and the handlers; that of references runs before the one of intersphinx."""
    app.add_directive("public-names", PublicNames)
    app.connect("autodoc-process-docstring", correct_docstring)
    app.connect("missing-reference", rename_target, priority=400)
    return {"parallel_read_safe": True}
