"""README and docs: code blocks run and print what they state, commands exist, links resolve."""

import contextlib
import importlib
import io
import re
import runpy
import shlex
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from flexkern.app.cli.main import COMMANDS, main
from flexkern.app.training import load_recipe

ROOT = Path(__file__).parents[1]
PAGES = [path for path in sorted((ROOT / "docs").rglob("*.md")) if "_build" not in path.parts]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES]
LINKED = [*DOCUMENTS, ROOT / "CHANGELOG.md", *sorted((ROOT / "experiments").rglob("*.md"))]
SHELL = ("sh", "bash")
CHECKED = ("python", "yaml", *SHELL)
UNCHECKED = ("text", "{toctree}", "{eval-rst}", "{public-names}")
"""Output, and directives that the build of the documentation checks."""
FOLDERS = ("experiments/", "benchmarks/", "examples/", "docs/", "src/", "tests/")
README_WORDS = 700
LARGEST_PICTURE = 200_000


class Block(NamedTuple):
    """A fenced block: its language, its text, and its first line in the document."""

    language: str
    text: str
    line: int


def fenced_blocks(path):
    """Return the fenced blocks of a document, also those in list items, without their indentation."""
    blocks, opening = [], None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fence = re.fullmatch(r"( *)```(.*)", line)
        if opening is None and fence:
            opening = (len(fence[1]), fence[2].strip(), number + 1, [])
        elif opening is not None and fence and not fence[2]:
            _, language, start, lines = opening
            blocks.append(Block(language.split(" ")[0], "\n".join(lines), start))
            opening = None
        elif opening is not None:
            opening[3].append(line[opening[0] :])
    assert opening is None, f"{path}: the block at line {opening[2]} is not closed"
    return blocks


def prose(path):
    """Return a document without its fenced blocks."""
    return re.sub(r"(?ms)^ *```.*?^ *```$", "", path.read_text(encoding="utf-8"))


def relative(path):
    return str(path.relative_to(ROOT))


def blocks_of(languages, paths=DOCUMENTS):
    """Return a test parameter for every block in one of the languages."""
    return [
        pytest.param(path, block, id=f"{relative(path)}:{block.line}")
        for path in paths
        for block in fenced_blocks(path)
        if block.language in languages
    ]


@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_every_block_has_a_language_that_is_checked(path):
    for block in fenced_blocks(path):
        assert block.language in (*CHECKED, *UNCHECKED), f"{relative(path)}:{block.line}"


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if "```python" in path.read_text()], ids=relative)
def test_python_blocks_run(path, tmp_path, monkeypatch):
    """The blocks of a document share a namespace; lines that begin with ``# ->`` are what a block prints."""
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for block in fenced_blocks(path):
        if block.language != "python":
            continue
        lines = block.text.splitlines()
        expected = [line.removeprefix("# -> ") for line in lines if line.startswith("# -> ")]
        code = compile("\n" * (block.line - 1) + block.text, str(path), "exec")
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(code, namespace)
        assert output.getvalue().splitlines() == expected, f"{relative(path)}:{block.line}"


@pytest.mark.parametrize(("path", "block"), blocks_of(["yaml"]))
def test_recipes_in_documents_are_complete(path, block, tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text(block.text)
    recipe = load_recipe(file)
    assert set(yaml.safe_load(block.text)) <= set(recipe.to_dict())


def make_targets():
    text = (ROOT / "Makefile").read_text()
    return set(re.findall(r"(?m)^([a-z-]+):", text))


def help_of(command):
    """Return the help page of a subcommand."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
        main([command, "--help"])
    return output.getvalue()


def has_option(text, option):
    """Return whether a help page lists an option; a recipe's key may leave out its section."""
    name = re.escape(option[2:].replace("-", "_"))
    listed = text.replace("--", " ").replace("-", "_")
    return re.search(rf"(?<!\w){name}(?!\w)", listed) is not None


def check_flexkern(words):
    command, *arguments = words
    assert command in COMMANDS, f"no subcommand {command}"
    text = help_of(command)
    for word in arguments:
        if word.startswith("--"):
            assert has_option(text, word.partition("=")[0]), f"{command} has no option {word}"


def check_python(words):
    module, *arguments = words[1:] if words[0] == "-m" else (words[0],)
    if words[0] != "-m":
        assert (ROOT / module).is_file(), f"no program {module}"
    elif module == "experiments":
        assert (ROOT / "experiments" / arguments[0] / "run.py").is_file(), f"no experiment {arguments[0]}"
    elif module == "benchmarks":
        assert (ROOT / "benchmarks" / f"{arguments[0]}.py").is_file(), f"no benchmark {arguments[0]}"
    else:
        raise AssertionError(f"unknown module {module}")


def check_make(words):
    for target in words:
        assert target in make_targets(), f"no target {target}"


def check_pip(words):
    """Extras of the package must exist; other packages are not looked up."""
    extras = set(re.findall(r"(?m)^([a-z]+) = \[", (ROOT / "pyproject.toml").read_text()))
    for word in words:
        if match := re.search(r"\[([a-z,]+)\]", word):
            assert set(match[1].split(",")) <= extras, word


def check_nothing(words):
    """Accept a command of the system."""


COMMAND_CHECKS = {
    "flexkern": check_flexkern,
    "python": check_python,
    "make": check_make,
    "pip": check_pip,
    ".": check_nothing,
    "git": check_nothing,
    "cd": check_nothing,
}


def check_command(line):
    words = shlex.split(line, comments=True)
    if not words:
        return
    words = words[: words.index(">")] if ">" in words else words
    assert words[0] in COMMAND_CHECKS, f"unknown command {words[0]}"
    COMMAND_CHECKS[words[0]](words[1:])


@pytest.mark.parametrize(("path", "block"), blocks_of(SHELL))
def test_commands_exist(path, block):
    for line in block.text.splitlines():
        check_command(line)


@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_commands_in_prose_exist(path):
    for code in re.findall(r"`([^`\n]+)`", prose(path)):
        first = code.split(" ")[0]
        if first in ("flexkern", "make", "python") and " " in code and "NAME" not in code:
            check_command(code)


def slug(heading):
    """Return the anchor of a heading, as GitHub and MyST form it."""
    text = re.sub(r"[`*]|\[(.*?)\]\(.*?\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def anchors(path):
    return {slug(heading) for heading in re.findall(r"(?m)^#+ (.+)$", prose(path))}


@pytest.mark.parametrize("path", LINKED, ids=relative)
def test_links_resolve(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        linked = (path.parent / file).resolve() if file else path
        assert linked.exists(), f"{relative(path)}: {target}"
        assert not anchor or anchor in anchors(linked), f"{relative(path)}: {target}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_files_and_names_in_code_exist(path):
    for code in re.findall(r"`([^`\n]+)`", prose(path)):
        if code.startswith(FOLDERS) and not re.search(r"[<*]|NAME", code):
            assert (ROOT / code).exists(), f"{relative(path)}: {code}"
        if re.fullmatch(r"flexkern(\.\w+)+", code):
            resolve(code)


def resolve(dotted):
    """Return the object of a dotted name; raise where there is none."""
    module, _, name = dotted.rpartition(".")
    try:
        return importlib.import_module(dotted)
    except ModuleNotFoundError:
        return getattr(importlib.import_module(module), name)


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= README_WORDS


def test_pictures_are_drawn_from_results(tmp_path):
    pytest.importorskip("matplotlib")
    figures = runpy.run_path(str(ROOT / "docs" / "figures.py"))
    figures["main"](tmp_path)
    drawn = sorted(tmp_path.iterdir())
    assert [path.name for path in drawn] == sorted(path.name for path in (ROOT / "docs" / "images").iterdir())
    for path in drawn:
        assert path.stat().st_size < LARGEST_PICTURE
