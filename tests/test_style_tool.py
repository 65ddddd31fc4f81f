"""The style check: each rule reports a source that breaks it and passes one that does not."""

import importlib.util
import sys
import textwrap
from pathlib import Path

import pytest

PATH = Path(__file__).parents[1] / "tools" / "style.py"


def load_tool():
    """Import the script, which is in no package."""
    spec = importlib.util.spec_from_file_location("style_tool", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


style = load_tool()


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    """Write sources into a tree and return the exit status and the lines that are printed for it."""
    monkeypatch.chdir(tmp_path)

    def run(source, *options, file="src/module.py"):
        path = Path(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
        status = style.main(["src", *options])
        return status, capsys.readouterr().out.splitlines()

    return run


def call_with_arguments(count):
    """Return a line of ``4 + 2 * count`` nodes: statement, call, name with context, arguments with contexts."""
    return f"f({', '.join(['x'] * count)})\n"


def body_of(lines):
    """Return a function of that many lines of code, with a docstring, a comment and blank lines."""
    statements = "    x = 1\n\n" * lines
    return f'def function():\n    """Do nothing.\n\n    At length.\n    """\n    # A comment.\n{statements}'


CONV = "in_channels, out_channels, kernel_size, a, b, c, d, e, f"

SPARSE_LINES = "x = 1\n" * 20
"""Lines of 4 nodes, so that the sources below need not keep the rule of density."""
SHORT_BODIES = body_of(1) * 20
"""Functions beside which one long body does not change the 95th percentile."""

BAD = {
    "conditional in a conditional": ("x = 1 if a else 2 if b else 3\n", "src/module.py:1", "conditional"),
    "conditional in an argument": ("x = 1 if a else f(2 if b else 3)\n", "src/module.py:1", "conditional"),
    "conditional in a test": ("x = 1 if (a if b else c) else 3\n", "src/module.py:1", "conditional"),
    "long body": (body_of(61) + SHORT_BODIES, "src/module.py:1", "`function` has 61 lines"),
    "long method": (
        "class A:\n" + textwrap.indent(body_of(61), "    ") + SHORT_BODIES,
        "src/module.py:2",
        "`function` has 61 lines",
    ),
    "parameters": ("def f(a, b, c, d, e, *, g, h, i, j): ...\n", "src/module.py:1", "`f` has 9 parameters"),
    "variadic parameters": ("def f(a, /, b, c, d, *e, g, h, i, **j): ...\n", "src/module.py:1", "9 parameters"),
    "method": ("class A:\n    def f(self, a, b, c, d, e, g, h, i, j): ...\n", "src/module.py:2", "9 parameters"),
    "constructor": (
        "class A:\n    def __init__(self, kernel_size, b, c, d, e, g, h, i, j): ...\n",
        "src/module.py:2",
        "`__init__` has 9 parameters",
    ),
    "partial of a partial": (
        "import functools\nf = functools.partial(functools.partial(g, 1), 2)\n",
        "src/module.py:2",
        "partial",
    ),
    "imported partial": (
        "from functools import partial\nf = partial(partial(g, 1), 2)\n",
        "src/module.py:2",
        "partial",
    ),
    "partial of a name": ("f = partial(g, 1)\nh = partial(f, 2)\n", "src/module.py:2", "partial"),
    "partial of an annotated name": ("f: F = partial(g, 1)\nh = partial(f, 2)\n", "src/module.py:2", "partial"),
    "partial of an outer name": (
        "f = partial(g, 1)\ndef h():\n    return partial(f, 2)\n",
        "src/module.py:3",
        "partial",
    ),
}

GOOD = {
    "conditionals side by side": "x = (\n    1 if a else 2,\n    3 if b else 4,\n)\n",
    "conditional statement": "if a:\n    x = 1 if b else 2\nelse:\n    x = 3\n",
    "function of 8 parameters": "def f(a, b, c, d, *, e, g, h, i): ...\n",
    "method of 8 parameters": "class A:\n    def f(self, a, b, c, d, e, g, h, i): ...\n",
    "layer": f"class A:\n    def __init__(self, {CONV}): ...\n",
    "parser of a layer's arguments": f"def parse(dims, {CONV}): ...\n",
    "custom operator": (
        "@torch.library.custom_op('a::b', mutates_args=())\ndef f(a, b, c, d, e, *, g, h, i, j): ...\n"
    ),
    "autograd function": "class A:\n    @staticmethod\n    def forward(ctx, a, b, c, d, e, g, h, i): ...\n",
    "partial": "f = functools.partial(g, 1)\n",
    "partial of a name bound anew": "f = partial(g, 1)\nf = g\nh = partial(f, 2)\n",
    "partial of another function's name": (
        "def h():\n    f = partial(g, 1)\n    return f\n\n\ndef i(f):\n    return partial(f, 2)\n"
    ),
    "partial as a keyword of a partial": "f = functools.partial(\n    g,\n    stem=functools.partial(h, 1),\n)\n",
}


@pytest.mark.parametrize("name", BAD)
def test_broken_rule_is_reported(check, name):
    source, place, words = BAD[name]
    status, lines = check(source + SPARSE_LINES)
    assert status == 1
    assert len(lines) == 1
    assert lines[0].startswith(f"{place} ")
    assert words in lines[0]


@pytest.mark.parametrize("name", GOOD)
def test_kept_rule_is_not_reported(check, name):
    assert check(GOOD[name] + SPARSE_LINES) == (0, [])


def test_density_of_the_tree(check):
    # The module is a node too: 1 + 14 + 4 nodes in two lines are allowed, 1 + 16 + 4 are not.
    assert check(call_with_arguments(5) + call_with_arguments(0)) == (0, [])
    status, lines = check(call_with_arguments(6) + call_with_arguments(0))
    assert status == 1
    assert lines == ["src:1 10.50 syntax nodes per line of code, at most 9.5 are allowed"]


def test_p95_of_bodies_is_that_of_the_whole_tree(check):
    # Of 20 bodies one may be longer than 30 lines: the 19th decides.
    short = body_of(1) * 18
    assert check(short + body_of(30) + body_of(60)) == (0, [])
    status, lines = check(short + body_of(31) + body_of(60))
    assert status == 1
    assert lines == ["src:1 bodies have 31 lines at the 95th percentile, at most 30 are allowed"]


def test_body_of_60_lines_is_allowed(check):
    assert check(SHORT_BODIES + body_of(60)) == (0, [])


def test_density_of_engines_is_checked_apart(check):
    check("x = 1\n" * 200)
    status, lines = check(call_with_arguments(8), file="src/package/engines/rooms/module.py")
    assert status == 1
    assert lines == ["src/package/engines:1 21.00 syntax nodes per line of code, at most 9.5 are allowed"]
    # In any other folder only the whole tree counts.
    Path("src/package/engines").rename("src/package/layers")
    assert check("x = 1\n" * 200) == (0, [])


def test_nodes_and_lines_are_counted_exactly():
    source = textwrap.dedent(
        '''\
        """A module."""

        # A comment.
        x = f(  # a comment after code
            1,
        )
        """A string that is no docstring
        """


        class A:
            """A class."""

            def f(self):
                """Return text

                of two lines."""
                return """one

        two"""
        '''
    )
    tree = style.ast.parse(source)
    measurements = style.measure(tree, source)
    # Lines 4 to 8, the class, the function, and the two of the returned text that are not blank.
    assert measurements.lines == 9
    assert measurements.nodes == len(list(style.ast.walk(tree)))
    assert measurements.bodies == [2]


def test_table_lists_every_folder(check):
    check("x = 1\n", file="src/package/module.py")
    status, lines = check("x = f(1)\n", "--table")
    assert status == 0
    head, *rows = [line.split() for line in lines]
    assert head == [
        "folder",
        "files",
        "lines",
        "nodes",
        "nodes/line",
        "bodies",
        "p95",
        "longest",
        "compr/100",
        "cond/100",
    ]
    # Module, assignment, name with context and constant; the other line has a call and a name with context more.
    assert rows[0][:5] == ["src", "2", "2", "13", "6.50"]
    assert rows[1][:5] == ["src/package", "1", "1", "5", "5.00"]


def test_missing_tree_is_an_error(capsys):
    assert style.main(["nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err
