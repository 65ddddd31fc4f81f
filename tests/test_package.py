"""The package as a whole: what it exports, what it needs, and that imports only go down."""

import ast
import importlib
import pkgutil
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

import flexkern

ROOT = Path(flexkern.__file__).parent
REPOSITORY = Path(__file__).parents[1]

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
    "_support": 0,
    "functional": 0,
    "generators": 1,
    "windows": 1,
    "engines": 1,
    "adaptive": 1,
    "layers": 2,
    "models": 3,
    "regularisers": 3,
    "analysis": 4,
    "interop": 5,
    "app": 6,
}
"""Packages import from lower floors; windows may use functional, which is why functional stands below them."""
APP_FLOORS = {"data": 0, "measure": 0, "training": 1, "report": 2, "cli": 3}
OUTSIDE = {"experiments": 7, "benchmarks": 7}
CORE = [
    module.name
    for module in pkgutil.walk_packages([str(ROOT)], "flexkern.")
    if module.name.split(".")[1] != "app" and not module.name.endswith("__main__")
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
        import torch, flexkern, flexkern.interop, flexkern.functional, flexkern.engines
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
    assert "flexkern.app" not in loaded
    assert not {"lightning", "matplotlib", "PIL", "yaml", "torchmetrics", "rich"} & loaded


def test_application_names_the_missing_extra():
    done = run_without_extras("""
        import importlib
        for part in ("data", "training", "report"):
            try:
                importlib.import_module(f"flexkern.app.{part}")
            except ImportError as error:
                assert "flexkern[" in str(error), (part, error)
    """)
    assert done.returncode == 0, done.stderr


def module_name(path):
    """``src/flexkern/engines/plan.py`` -> ``flexkern.engines.plan``."""
    top = ROOT.parent if path.is_relative_to(ROOT) else REPOSITORY
    parts = path.relative_to(top).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = sorted(path for top in (ROOT, *(REPOSITORY / name for name in OUTSIDE)) for path in top.rglob("*.py"))
MODULES = {module_name(path): path for path in SOURCES}


def names_bound_by(path):
    """Names that a module imports or defines at its top level."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name


FACES = {name: set(names_bound_by(path)) for name, path in MODULES.items() if path.stem == "__init__"}


def imports(path):
    """Modules of ours that a file imports, and the line of each import."""
    name = module_name(path)
    package = name.split(".") if path.stem == "__init__" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names if alias.name in MODULES)
        if not isinstance(node, ast.ImportFrom):
            continue
        base = package[: len(package) - node.level + 1] if node.level else []
        source = ".".join([*base, *(node.module.split(".") if node.module else [])])
        for alias in node.names:
            is_module = f"{source}.{alias.name}" in MODULES and alias.name not in FACES.get(source, ())
            imported = f"{source}.{alias.name}" if is_module else source
            if imported in MODULES:
                yield imported, node.lineno


def floor(module):
    """Where a module stands: imports go to lower floors or stay within the package."""
    parts = module.split(".")
    if parts[0] in OUTSIDE:
        return OUTSIDE[parts[0]]
    if len(parts) == 1:
        return 5.5  # the top of the library: its public names
    if parts[1] == "app" and len(parts) > 2:
        return FLOORS["app"] + APP_FLOORS[parts[2]] / 10
    return FLOORS[parts[1]]


def package_of(module):
    """``flexkern.engines.plan`` -> ``flexkern.engines``; packages of the application are its folders."""
    parts = module.split(".")
    depth = 3 if parts[:2] == ["flexkern", "app"] else 1 if parts[0] in OUTSIDE else 2
    return ".".join(parts[:depth])


def test_imports_only_go_down():
    wrong = []
    for name, path in MODULES.items():
        if name in ("flexkern", "flexkern.__main__"):
            continue
        for imported, line in imports(path):
            if package_of(imported) != package_of(name) and not floor(imported) < floor(name):
                wrong.append(f"{path}:{line} imports {imported}")
    assert not wrong, "\n".join(wrong)


def test_packages_are_reached_through_their_face():
    wrong = []
    for name, path in MODULES.items():
        for imported, line in imports(path):
            package = package_of(imported)
            if package == package_of(name) or name == "flexkern.__main__":
                continue
            # Modules of these are their own faces: helpers have nothing in common, and parts of the application
            # need different extras, which a common face would import together.
            if imported != package and not package.startswith(("flexkern._support", "flexkern.app")):
                wrong.append(f"{path}:{line} reaches {imported}, not {package}")
    assert not wrong, "\n".join(wrong)


def test_no_circle_of_files():
    edges = {name: {imported for imported, _ in imports(path)} - {name} for name, path in MODULES.items()}
    finished, active = set(), []

    def visit(name):
        if name in finished:
            return
        assert name not in active, " -> ".join([*active[active.index(name) :], name])
        active.append(name)
        for imported in sorted(edges[name]):
            visit(imported)
        finished.add(active.pop())

    for name in edges:
        visit(name)


def check_wheel(path):
    """Check that a wheel holds the whole package with its data, and nothing else of the repository."""
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
    assert {name.split("/")[0] for name in names} == {"flexkern", f"flexkern-{flexkern.__version__}.dist-info"}
    expected = {source.relative_to(ROOT.parent).as_posix() for source in ROOT.rglob("*.py")}
    for pattern in ("py.typed", "engines/choice/costs.json", "app/recipes/*.yaml", "app/weights/*.safetensors"):
        data = {source.relative_to(ROOT.parent).as_posix() for source in ROOT.glob(pattern)}
        assert data, f"no file matches {pattern}"
        expected |= data
    assert not expected - names


def test_the_wheel_holds_the_library_only(tmp_path, monkeypatch):
    backend = pytest.importorskip("hatchling.build", reason="hatchling, which builds the wheel, is not installed")
    monkeypatch.chdir(REPOSITORY)
    check_wheel(tmp_path / backend.build_wheel(str(tmp_path)))


def test_every_package_has_a_floor():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages == set(FLOORS)
    assert {path.parent.name for path in ROOT.glob("app/*/__init__.py")} == set(APP_FLOORS)


def test_the_library_does_not_print():
    for path in ROOT.rglob("*.py"):
        if "cli" in path.parts:
            continue
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        assert not [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"], path


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
