"""The package as a whole: what it exports, what it needs, and that imports only go down."""

import ast
import doctest
import importlib
import pkgutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import flexkern

ROOT = Path(flexkern.__file__).parent

API = {
    "CKConv1d", "CKConv2d", "CKConv3d", "FlexConv1d", "FlexConv2d", "FlexConv3d",
    "SeparableFlexConv1d", "SeparableFlexConv2d", "SeparableFlexConv3d",
    "AdaptiveConv1d", "AdaptiveConv2d", "AdaptiveConv3d", "AdaptiveFlexConv1d", "AdaptiveFlexConv2d",
    "GENERATORS", "Generator", "MAGNet", "GaborNet", "FourierNet", "SIREN", "MLP", "Table", "Points", "GaussianWindow",
    "sizes", "freeze_sizes", "unfreeze_sizes", "size_parameters",
    "alias_penalty", "alias_report", "at_resolution", "refresh_norms", "size_budget", "output_positions",
    "CompactNet", "FlexNet", "FlexTCN", "create_model", "list_models",
}  # fmt: skip
"""Change it on purpose only, together with CHANGELOG.md."""

FLOORS = {
    "atomic": 0,
    "axes": 0,
    "deferred": 0,
    "nearest": 0,
    "precision": 0,
    "tracing": 0,
    "functional": 1,
    "engines": 1,
    "data": 1,
    "generators": 2,
    "windows": 2,
    "layers": 3,
    "analysis": 4,
    "baselines": 4,
    "models": 5,
    "deploy": 6,
    "training": 6,
    "report": 7,
    "bench": 7,
    "reproduce": 8,
    "cli": 9,
}
OUTER = {"data", "training", "report", "bench", "reproduce", "cli"}
CORE = [
    module.name
    for module in pkgutil.walk_packages([str(ROOT)], "flexkern.")
    if module.name.split(".")[1] not in OUTER and not module.name.endswith("__main__")
]
EXTRAS = ["numpy", "lightning", "pytorch_lightning", "torchmetrics", "jsonargparse", "yaml", "rich", "tensorboard",
          "safetensors", "onnx", "onnxruntime", "onnxscript", "matplotlib", "PIL",
          "mlxtend", "mnist1d", "pandas", "scipy", "torchvision"]  # fmt: skip


def test_public_names():
    public = {
        name for name, value in vars(flexkern).items() if not name.startswith("_") and type(value).__name__ != "module"
    }
    assert public == API | ({"annotations"} & public)


def test_every_public_name_is_documented_and_in_the_tour():
    for name in API - {"GENERATORS"}:
        assert (getattr(flexkern, name).__doc__ or "").strip(), name
    for name in ("FlexConv", "CKConv", "MAGNet", "GaussianWindow", "sizes", "freeze_sizes", "create_model"):
        assert name in flexkern.__doc__


def test_version():
    assert flexkern.__version__.count(".") == 2


def run_without_extras(code):
    blocked = textwrap.dedent(f"""
        import sys, warnings
        for name in {EXTRAS!r}:
            sys.modules[name] = None  # as if it were not installed
        warnings.simplefilter("ignore")  # torch itself warns where numpy is missing
    """)
    command = [sys.executable, "-c", blocked + textwrap.dedent(code)]
    environment = {"PYTHONPATH": str(ROOT.parent), "PATH": "", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)


def test_import_needs_torch_alone():
    done = run_without_extras("""
        import torch, flexkern, flexkern.deploy, flexkern.functional, flexkern.engines
        model = flexkern.create_model("flexnet", in_channels=1, classes=3, kernel_size=9, width=4, factors=((1, 1),))
        model(torch.randn(2, 1, 8, 8)).sum().backward()
        print(sorted(set(flexkern.sizes(model).values())))
    """)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[(3, 3)]"


def test_import_does_not_touch_the_outer_ring_nor_its_packages():
    done = subprocess.run(
        [sys.executable, "-c", "import sys, flexkern; print(*sys.modules)"],
        capture_output=True, text=True, check=True, timeout=120,
        env={"PYTHONPATH": str(ROOT.parent), "PATH": ""},
    )  # fmt: skip
    loaded = set(done.stdout.split())
    assert "flexkern.layers" in loaded
    assert not {f"flexkern.{part}" for part in OUTER} & loaded
    assert not {"lightning", "matplotlib", "PIL", "yaml", "torchmetrics", "rich"} & loaded


@pytest.mark.parametrize("part", ["data", "training", "report"])
def test_ring_says_which_extra_is_missing(part):
    done = run_without_extras(f"import flexkern.{part}")
    if done.returncode:
        assert "flexkern[" in done.stderr.strip().splitlines()[-1], done.stderr


def imported_parts(path):
    """First folder or module below flexkern of everything that a file imports, with the line."""
    package = path.relative_to(ROOT.parent).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            stem = base + (node.module.split(".") if node.module else [])
            modules = [[*stem, alias.name] for alias in node.names] if len(stem) == 1 else [stem]
        else:
            continue
        for module in modules:
            if module[0] == "flexkern" and len(module) > 1:
                yield module[1], node.lineno


FILES = sorted(path for path in ROOT.rglob("*.py") if path.parent != ROOT or path.stem in FLOORS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_only_go_down(path):
    part = path.relative_to(ROOT).parts[0].removesuffix(".py")
    for other, line in imported_parts(path):
        if other not in FLOORS:  # a public name from the top: as a user would, so from the outer ring only
            assert part in OUTER - {"data"}, f"{path.name}:{line} imports flexkern.{other}"
        elif other != part:
            assert FLOORS[other] < FLOORS[part], f"{path.name}:{line} imports {other} from {part}"
            assert other not in OUTER or part in OUTER, f"{path.name}:{line} imports {other} from the core"
            assert other != "baselines" or part in OUTER | {"models"}, f"{path.name}:{line} imports a baseline"
            assert part != "data" or other == "nearest", f"{path.name}:{line}: data knows no model code"


def test_every_part_has_a_floor():
    parts = {
        path.name.removesuffix(".py")
        for path in ROOT.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert parts - {"__init__", "__main__", "recipes"} <= set(FLOORS)


def test_the_library_does_not_print():
    for path in FILES:
        if "cli" in path.parts:
            continue
        calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
        assert not [n for n in calls if isinstance(n.func, ast.Name) and n.func.id == "print"], path


@pytest.mark.parametrize("name", CORE)
def test_doctests(name):
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


def test_core_functions_have_examples():
    without = []
    for module in map(importlib.import_module, CORE):
        if ".functional." in module.__name__ or ".generators." in module.__name__:
            text = Path(module.__file__).read_text()
            if (
                "def " in text
                and ">>>" not in text
                and module.__name__.rsplit(".", 1)[1] not in ("base", "multiplicative")
            ):
                without.append(module.__name__)
    assert without == []
