"""Check the style rules of the code: density of lines, length of bodies, parameters and nesting.

Usage::

    python tools/style.py src            # one line per violation, exit status 1 if there is any
    python tools/style.py src --table    # the measurements of every folder too

Rules:

* At most 9.5 syntax nodes per line of code, over the whole tree and over each folder named ``engines`` with its
  subfolders. Nodes are all nodes of ``ast.walk``; lines of code are those that are not blank, comment or docstring
  (of a module, class or function).
* Bodies of functions, without docstring, have at most 30 lines of code at the 95th percentile and never more than 60.
* At most 8 parameters, without ``self``, ``cls`` and ``ctx``. Exempt are functions with the arguments of
  ``nn.ConvNd`` (``in_channels, out_channels, kernel_size, ...``), custom operators, whose signature is a schema of
  torch, and the few public functions of ``PUBLIC_OPTIONS``.
* No conditional expression inside another.
* No ``functools.partial`` of a ``functools.partial``.
"""

import argparse
import ast
import io
import math
import sys
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MAX_DENSITY = 9.5
"""Syntax nodes per line of code."""
DENSE_FOLDERS = ("engines",)
"""Folders whose density is checked apart from that of the whole tree."""
MAX_BODY_P95 = 30
MAX_BODY = 60
MAX_PARAMETERS = 8
RECEIVERS = ("self", "cls", "ctx")
CONV_PARAMETERS = ("in_channels", "out_channels", "kernel_size")
PUBLIC_OPTIONS = {
    "generators/magnet.py": "__init__",
    "generators/mlp.py": "__init__",
    "models/compact.py": "adaptive_net",
    "windows/window.py": "__init__",
}
"""Functions with more parameters, by the end of their path: options that users and recipes set by name."""

LAYOUT_TOKENS = (
    tokenize.ENCODING,
    tokenize.ENDMARKER,
    tokenize.NEWLINE,
    tokenize.NL,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.COMMENT,
)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Violation:
    """A broken rule and its place."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.message}"


@dataclass
class Measurements:
    """Counts over some files."""

    files: int = 0
    nodes: int = 0
    lines: int = 0
    comprehensions: int = 0
    conditionals: int = 0
    bodies: list[int] = field(default_factory=list)

    @property
    def density(self) -> float:
        """Return the syntax nodes per line of code."""
        return self.nodes / max(self.lines, 1)

    @property
    def body_p95(self) -> int:
        """Return the 95th percentile (nearest rank) of the lengths of bodies."""
        if not self.bodies:
            return 0
        rank = math.ceil(0.95 * len(self.bodies))
        return sorted(self.bodies)[rank - 1]

    @property
    def longest_body(self) -> int:
        """Return the length of the longest body."""
        return max(self.bodies, default=0)

    def per_hundred_lines(self, count: int) -> float:
        """Return ``count`` per 100 lines of code."""
        return 100 * count / max(self.lines, 1)

    def add(self, other: "Measurements") -> None:
        """Add the counts of other files."""
        self.files += other.files
        self.nodes += other.nodes
        self.lines += other.lines
        self.comprehensions += other.comprehensions
        self.conditionals += other.conditionals
        self.bodies += other.bodies


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the trees named on the command line; return the exit status."""
    options = parse_options(arguments)
    violations: list[Violation] = []
    for root in options.roots:
        if not root.exists():
            print(f"{root}: no such file or folder.", file=sys.stderr)
            return 2
        tree_violations, folders = check_tree(root)
        violations += tree_violations
        if options.table:
            print(format_table(folders))
    for violation in violations:
        print(violation)
    return 1 if violations else 0


def parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    summary, _, details = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=summary,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("roots", nargs="+", type=Path, metavar="TREE", help="a folder or a Python file")
    parser.add_argument("--table", action="store_true", help="print the measurements of every folder")
    return parser.parse_args(arguments)


def check_tree(root: Path) -> tuple[list[Violation], dict[Path, Measurements]]:
    """Return the violations in a tree and the measurements of its folders, each with its subfolders."""
    violations: list[Violation] = []
    folders: dict[Path, Measurements] = {}
    for path in python_files(root):
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source, filename=str(path))
        violations += check_syntax(path, tree, source)
        measurements = measure(tree, source)
        for folder in folders_above(path, root):
            folders.setdefault(folder, Measurements()).add(measurements)
    for folder, measurements in folders.items():
        if folder == root or folder.name in DENSE_FOLDERS:
            violations += check_folder(folder, measurements)
    return violations, folders


def python_files(root: Path) -> list[Path]:
    """Return the Python files of a tree in order, without hidden folders and caches."""
    if root.is_file():
        return [root]
    paths = []
    for path in sorted(root.rglob("*.py")):
        inner = path.relative_to(root).parts
        if not any(part.startswith(".") or part == "__pycache__" for part in inner):
            paths.append(path)
    return paths


def folders_above(path: Path, root: Path) -> list[Path]:
    """Return the folders from ``root`` down to the file's own; ``root`` itself if it is the file."""
    if path == root:
        return [root]
    folders = [folder for folder in path.parents if folder.is_relative_to(root)]
    return folders[::-1]


def check_folder(folder: Path, measurements: Measurements) -> Iterator[Violation]:
    """Check the rules that hold for a folder as a whole."""
    if measurements.density > MAX_DENSITY:
        message = f"{measurements.density:.2f} syntax nodes per line of code, at most {MAX_DENSITY} are allowed"
        yield Violation(folder, 1, message)
    if measurements.body_p95 > MAX_BODY_P95:
        message = (
            f"bodies have {measurements.body_p95} lines at the 95th percentile, at most {MAX_BODY_P95} are allowed"
        )
        yield Violation(folder, 1, message)


def check_syntax(path: Path, tree: ast.Module, source: str) -> Iterator[Violation]:
    """Check the rules that hold for single functions and expressions of a file."""
    lines = code_lines(tree, source)
    for node in ast.walk(tree):
        if isinstance(node, Function):
            length = body_length(node, lines)
            if length > MAX_BODY:
                yield Violation(path, node.lineno, f"`{node.name}` has {length} lines, at most {MAX_BODY} are allowed")
            count = parameter_count(node)
            if count > MAX_PARAMETERS and not may_have_more_parameters(path, node):
                message = f"`{node.name}` has {count} parameters, at most {MAX_PARAMETERS} are allowed"
                yield Violation(path, node.lineno, message)
        if isinstance(node, ast.IfExp) and has_inner_conditional(node):
            yield Violation(path, node.lineno, "conditional expression inside another; use if and return")
    for call in nested_partials(tree):
        yield Violation(path, call.lineno, "functools.partial of a partial; define a function")


def measure(tree: ast.Module, source: str) -> Measurements:
    """Count nodes, lines and bodies of one file."""
    lines = code_lines(tree, source)
    measurements = Measurements(files=1, lines=len(lines))
    for node in ast.walk(tree):
        measurements.nodes += 1
        if isinstance(node, COMPREHENSIONS):
            measurements.comprehensions += 1
        if isinstance(node, ast.IfExp):
            measurements.conditionals += 1
        if isinstance(node, Function):
            measurements.bodies.append(body_length(node, lines))
    return measurements


def code_lines(tree: ast.Module, source: str) -> set[int]:
    """Return the numbers of the lines that are not blank, comment or docstring.

    A line inside a string that is no docstring is a line of code unless it is blank.
    """
    text = source.splitlines()
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in LAYOUT_TOKENS:
            continue
        for number in range(token.start[0], token.end[0] + 1):
            if text[number - 1].strip():
                lines.add(number)
    for node in ast.walk(tree):
        docstring = docstring_of(node)
        if docstring is not None:
            lines -= set(range(docstring.lineno, last_line(docstring) + 1))
    return lines


def docstring_of(node: ast.AST) -> ast.stmt | None:
    """Return the statement that is the docstring of a module, class or function."""
    if not isinstance(node, ast.Module | ast.ClassDef | Function) or not node.body:
        return None
    first = node.body[0]
    if not isinstance(first, ast.Expr) or not isinstance(first.value, ast.Constant):
        return None
    return first if isinstance(first.value.value, str) else None


def last_line(node: ast.stmt) -> int:
    """Return the number of the last line of a statement."""
    return node.end_lineno or node.lineno


def body_length(function: Function, lines: set[int]) -> int:
    """Return the number of lines of code in a function's body, nested functions included."""
    first = function.body[0].lineno
    last = last_line(function.body[-1])
    return sum(number in lines for number in range(first, last + 1))


def parameter_names(function: Function) -> list[str]:
    """Return the names of all parameters; ``*args`` and ``**kwargs`` count like any other."""
    arguments = function.args
    parameters = [*arguments.posonlyargs, *arguments.args]
    if arguments.vararg is not None:
        parameters.append(arguments.vararg)
    parameters += arguments.kwonlyargs
    if arguments.kwarg is not None:
        parameters.append(arguments.kwarg)
    return [parameter.arg for parameter in parameters]


def parameter_count(function: Function) -> int:
    """Return the number of parameters without ``self``, ``cls`` or ``ctx``."""
    names = parameter_names(function)
    return len(names) - (names[:1] != [] and names[0] in RECEIVERS)


def may_have_more_parameters(path: Path, function: Function) -> bool:
    """Return whether a function is exempt from the limit on parameters."""
    if takes_conv_arguments(function) or is_custom_operator(function):
        return True
    return any(path.as_posix().endswith(end) and function.name == name for end, name in PUBLIC_OPTIONS.items())


def takes_conv_arguments(function: Function) -> bool:
    """Return whether the parameters have the names of ``nn.ConvNd`` in its order."""
    names = parameter_names(function)
    if CONV_PARAMETERS[0] not in names:
        return False
    first = names.index(CONV_PARAMETERS[0])
    return tuple(names[first : first + len(CONV_PARAMETERS)]) == CONV_PARAMETERS


def is_custom_operator(function: Function) -> bool:
    """Return whether a function is decorated by ``torch.library.custom_op(...)``."""
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).endswith("custom_op"):
            return True
    return False


def has_inner_conditional(expression: ast.IfExp) -> bool:
    """Return whether a conditional expression holds another one at any depth."""
    return any(isinstance(node, ast.IfExp) for node in ast.walk(expression) if node is not expression)


def nested_partials(tree: ast.Module) -> Iterator[ast.Call]:
    """Yield each call of ``partial`` whose first argument is a partial: a call, or a name bound to one."""
    visitor = _PartialVisitor()
    visitor.visit(tree)
    yield from visitor.nested


class _PartialVisitor(ast.NodeVisitor):
    """Collects nested partials; a name counts in the function that binds it and in those inside."""

    def __init__(self) -> None:
        self.nested: list[ast.Call] = []
        self.scopes: list[set[str]] = [set()]

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._visit_function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._visit_function(node)

    def _visit_function(self, node: Function) -> None:
        self.scopes.append(set())
        self.generic_visit(node)
        self.scopes.pop()

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        for target in node.targets:
            self._bind(target, node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.generic_visit(node)
        if node.value is not None:
            self._bind(node.target, node.value)

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        if _is_partial_call(node) and node.args and self._is_partial(node.args[0]):
            self.nested.append(node)

    def _bind(self, target: ast.expr, value: ast.expr) -> None:
        if not isinstance(target, ast.Name):
            return
        if self._is_partial(value):
            self.scopes[-1].add(target.id)
        else:
            self.scopes[-1].discard(target.id)

    def _is_partial(self, value: ast.expr) -> bool:
        if isinstance(value, ast.Name):
            return any(value.id in scope for scope in self.scopes)
        return isinstance(value, ast.Call) and _is_partial_call(value)


def _is_partial_call(node: ast.Call) -> bool:
    function = node.func
    if isinstance(function, ast.Subscript):  # functools.partial[int](...)
        function = function.value
    if isinstance(function, ast.Attribute):
        return function.attr == "partial"
    return isinstance(function, ast.Name) and function.id == "partial"


def format_table(folders: dict[Path, Measurements]) -> str:
    """Return the measurements of folders as a table in plain text."""
    width = max(len(str(folder)) for folder in folders) if folders else 0
    columns = ("files", "lines", "nodes", "nodes/line", "bodies", "p95", "longest", "compr/100", "cond/100")
    rows = [f"{'folder':{width}}  " + "  ".join(f"{column:>10}" for column in columns)]
    for folder, measured in sorted(folders.items()):
        cells = (
            str(measured.files),
            str(measured.lines),
            str(measured.nodes),
            f"{measured.density:.2f}",
            str(len(measured.bodies)),
            str(measured.body_p95),
            str(measured.longest_body),
            f"{measured.per_hundred_lines(measured.comprehensions):.1f}",
            f"{measured.per_hundred_lines(measured.conditionals):.1f}",
        )
        rows.append(f"{folder!s:{width}}  " + "  ".join(f"{cell:>10}" for cell in cells))
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
