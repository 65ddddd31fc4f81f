"""Recipe: one small YAML file that fully describes a training run, and the dataclasses it is read into."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flexkern._support.nearest import nearest

from .settings import Checked, model_option_names, note, number_like, unknown_key

if TYPE_CHECKING:
    from importlib.abc import Traversable

_SECTIONS = ("data", "model", "optimiser")


@dataclass(frozen=True, kw_only=True)
class DataConfig(Checked, section="data."):
    """The data of a run and their preparation (the keys under ``data:``)."""

    name: str = field(
        metadata=note("the task, a name known to `flexkern.app.data.load_task`"),
    )
    dir: str | None = field(
        default=None,
        metadata=note("folder (or file) with local copies of the data"),
    )
    validation: float = field(
        default=0.1,
        metadata=note("fraction of the training set that is used for validation", above=0, below=1),
    )
    train_share: float = field(
        default=1.0,
        metadata=note("fraction of the remaining samples of every class that are trained on; 1 is all", above=0),
    )
    standardise: bool = field(
        default=True,
        metadata=note("per-channel mean 0 and deviation 1, measured on the training set"),
    )
    augment: tuple[str, ...] = field(
        default=(),
        metadata=note('list such as ["shift:2", "flip"]; training batches only'),
    )
    augment_share: float = field(
        default=1.0,
        metadata=note("fraction of the epochs that are augmented, the first ones", low=0),
    )


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Checked, section="model."):
    """The model of a run: a name of `flexkern.models.list_models` and its options.

    In YAML and on the command line the options have the same level as the name (``model.width: 16``).
    ``in_channels`` and ``classes`` come from the task and cannot be set here.
    """

    name: str = field(
        metadata=note("a name known to `flexkern.models.create_model`"),
    )
    options: Mapping[str, Any] = field(
        default_factory=dict,
        metadata=note("keyword arguments of that model"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("in_channels", "classes"):
            if key in self.options:
                raise ValueError(f"`model.{key}` comes from the task and cannot be set in a recipe.")
        known = model_option_names(self.name)
        if not known:
            return
        for key in self.options:
            if key not in known:
                raise unknown_key(f"model.{key}", [f"model.{name}" for name in known])


@dataclass(frozen=True, kw_only=True)
class OptimiserConfig(Checked, section="optimiser."):
    """AdamW with linear warm-up, then a cosine down to ``min_lr`` (the keys under ``optimiser:``)."""

    lr: float = field(
        default=0.01,
        metadata=note("peak learning rate of the weights", above=0),
    )
    size_lr: float = field(
        default=0.01,
        metadata=note("peak learning rate of learned sizes; 0 keeps the initial sizes", low=0),
    )
    weight_decay: float = field(
        default=0.0,
        metadata=note("decoupled; never on norms, biases and learned sizes", low=0),
    )
    warmup_epochs: float = field(
        default=1.0,
        metadata=note("epochs of linear warm-up; fractions are allowed", low=0),
    )
    min_lr: float = field(
        default=0.0,
        metadata=note("learning rate at the last step (sizes: in proportion)", low=0),
    )
    label_smoothing: float = field(
        default=0.0,
        metadata=note("of the cross-entropy", low=0, below=1),
    )
    gradient_clip: float = field(
        default=0.0,
        metadata=note("largest norm of the gradient; 0 is off", low=0),
    )
    alias_penalty: float = field(
        default=0.0,
        metadata=note("weight of the penalty on frequencies above Nyquist (published: 0.1)", low=0),
    )
    size_budget: float = field(
        default=0.0,
        metadata=note("multiply-accumulates per sample that learned sizes may cost; 0 allows any", low=0),
    )
    ema: float = field(
        default=0.0,
        metadata=note("decay of a moving average of the weights, which is evaluated; 0 is off", low=0, below=1),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_lr > self.lr:
            raise ValueError(f"`optimiser.min_lr` must be at most `optimiser.lr` = {self.lr:g}, got {self.min_lr:g}.")


@dataclass(frozen=True, kw_only=True)
class Recipe(Checked):
    """The full description of a training run.

    Example:
        >>> recipe = load_recipe("digits")
        >>> override(recipe, {"epochs": 3, "model.width": 8}).epochs
        3
    """

    name: str = field(
        metadata=note("of the recipe, and of its run folder runs/NAME"),
    )
    about: str = field(
        default="",
        metadata=note("one line for people: what this recipe reaches"),
    )
    seed: int = field(
        default=0,
        metadata=note("of everything random: split, weights, order, augmentation", low=0),
    )
    epochs: int = field(
        default=10,
        metadata=note("passes over the training data", low=1),
    )
    batch_size: int = field(
        default=64,
        metadata=note("largest number of samples in a batch", low=1),
    )
    out: str | None = field(
        default=None,
        metadata=note("the run folder; by default runs/NAME"),
    )
    threads: int | None = field(
        default=None,
        metadata=note("CPU threads; by default the choice of torch", low=1),
    )
    accelerator: str = field(
        default="auto",
        metadata=note("cpu, gpu, mps ... or auto: what Lightning finds"),
    )
    data: DataConfig = field(
        metadata=note("the data"),
    )
    model: ModelConfig = field(
        metadata=note("the model"),
    )
    optimiser: OptimiserConfig = field(
        default_factory=OptimiserConfig,
        metadata=note("the optimiser"),
    )

    @property
    def folder(self) -> Path:
        """The folder of the run."""
        if self.out:
            return Path(self.out)
        return Path("runs") / self.name

    def to_dict(self) -> dict[str, Any]:
        """Return a plain nested dict as in YAML and records, with the model's options next to its name."""
        values = dataclasses.asdict(self)
        options = values["model"]["options"]
        values["model"] = {"name": self.model.name, **options}
        values["data"]["augment"] = list(self.data.augment)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Invert :meth:`to_dict`; an unknown key is a ``ValueError`` that names the nearest known one."""
        values = dict(number_like(values))
        _refuse_unknown(values)
        model = {}
        options = {}
        for key, value in values.get("model", {}).items():
            if key == "name":
                model[key] = value
            else:
                options[key] = value
        values["data"] = DataConfig.build(values.get("data", {}))
        values["model"] = ModelConfig.build({**model, "options": options})
        values["optimiser"] = OptimiserConfig.build(values.get("optimiser", {}))
        return cls.build(values)

    def to_yaml(self) -> str:
        """Return the recipe as YAML text, defaults included."""
        yaml = _yaml()

        class Dumper(yaml.SafeDumper):  # type: ignore[name-defined]
            """Writes lists on one line: [[1, 1], [1.5, 1]]."""

        def on_one_line(dumper: Any, values: list[Any]) -> Any:
            return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=True)

        Dumper.add_representer(list, on_one_line)
        values = _to_plain(self.to_dict())
        return yaml.dump(values, Dumper=Dumper, sort_keys=False, width=110)


def list_recipes() -> tuple[str, ...]:
    """Return the names of the recipes in the package."""
    names = []
    for file in _recipe_folder().iterdir():
        if file.name.endswith(".yaml"):
            names.append(file.name.removesuffix(".yaml"))
    return tuple(sorted(names))


def load_recipe(name_or_path: str | Path) -> Recipe:
    """Load a recipe of the package by name, or a YAML file (ends in .yaml or .yml, or names a folder)."""
    text = str(name_or_path)
    path = Path(text)
    if text.endswith((".yaml", ".yml")) or len(path.parts) > 1:
        if not path.is_file():
            raise FileNotFoundError(f"no recipe file {path}.")
        return read_recipe_file(path)
    known = list_recipes()
    if text not in known:
        suggestion = nearest(text, known)
        hint = f" did you mean `{suggestion}`?" if suggestion else ""
        raise ValueError(f"unknown recipe `{text}`;{hint} known: {', '.join(known)}, or a path to a .yaml file.")
    file = _recipe_folder() / f"{text}.yaml"
    return read_recipe(file.read_text(encoding="utf-8"), source=f"recipe {text}")


def read_recipe_file(path: Path) -> Recipe:
    """Read a recipe from a YAML file; every error names the file."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a text file; a recipe is YAML in UTF-8.") from None
    return read_recipe(text, source=str(path))


def read_recipe(text: str, *, source: str = "recipe") -> Recipe:
    """Read a recipe from YAML text; every error names ``source``."""
    yaml = _yaml()
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{source} is not valid YAML: {reason}.") from error
    if not isinstance(values, dict):
        raise ValueError(f"{source} must be a YAML mapping with the keys `name`, `data` and `model`.")
    try:
        return Recipe.from_dict(values)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error


def override(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """Return a copy of a recipe with some keys changed.

    Keys are dotted (``optimiser.lr``), dashes count as underscores, and the section of ``data`` and
    ``optimiser`` keys may be omitted (``lr``). Text values are read as YAML (``"1e-2"``, ``"[1, 2]"``). A
    new ``model.name`` drops the options of the model it replaces: give it before its own options.
    """
    values = recipe.to_dict()
    for key, value in changes.items():
        if isinstance(value, str):
            value = _parse_value(key, value)
        _set(values, full_key(key), value)
    return Recipe.from_dict(values)


def _set(values: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key; below ``model`` of any depth: ``model.generator.hidden`` describes an object."""
    *sections, last = key.split(".")
    if sections:
        too_deep = len(sections) > 1 and sections[0] != "model"
        if sections[0] not in _SECTIONS or too_deep:
            raise unknown_key(key, _known_keys(values))
    target = values
    for section in sections:
        inner = target.get(section)
        if not isinstance(inner, dict):
            # "magnet" is short for {"name": "magnet"}.
            inner = {"name": inner} if inner else {}
            target[section] = inner
        target = inner
    if key == "model.name" and value != target["name"]:
        target.clear()  # The options belong to the model that is replaced.
    target[last] = value


def full_key(key: str) -> str:
    """Complete a key: dashes become underscores, an omitted section is added (``size-lr`` -> ``optimiser.size_lr``)."""
    key = key.replace("-", "_")
    if "." in key or key in _field_names(Recipe):
        return key
    for config in (DataConfig, OptimiserConfig):
        if key in _field_names(config):
            return config.section + key
    return key


def recipe_keys() -> dict[str, dict[str, Any]]:
    """Return every key -> {help, default, ...} in the order of the dataclasses, without model options."""
    keys: dict[str, dict[str, Any]] = {}
    for config in (Recipe, DataConfig, ModelConfig, OptimiserConfig):
        for item in dataclasses.fields(config):
            if item.name in (*_SECTIONS, "options"):
                continue
            default = item.default
            if default is dataclasses.MISSING:
                default = None
            keys[config.section + item.name] = {**item.metadata, "default": default}
    return keys


def _recipe_folder() -> Traversable:
    return resources.files("flexkern.app") / "recipes"


def _refuse_unknown(values: Mapping[str, Any]) -> None:
    """Raise a ValueError for an unknown key, or for a section that is no mapping."""
    for key, value in values.items():
        if key not in _field_names(Recipe):
            raise unknown_key(str(key), _known_keys(values))
        if key in _SECTIONS and not isinstance(value, Mapping):
            raise ValueError(f"`{key}` must be a mapping with keys of its own, got {value!r}.")
    for config in (DataConfig, OptimiserConfig):
        section = config.section.rstrip(".")
        for key in values.get(section, {}):
            if key not in _field_names(config):
                raise unknown_key(f"{config.section}{key}", _known_keys(values))


def _known_keys(values: Mapping[str, Any]) -> list[str]:
    """Return all keys that a recipe with this model may have."""
    model = values.get("model", {})
    model_name = model.get("name", "") if isinstance(model, Mapping) else ""
    options = [f"model.{option}" for option in model_option_names(str(model_name))]
    return [*recipe_keys(), *_SECTIONS, *options]


def _field_names(config: type) -> list[str]:
    return [item.name for item in dataclasses.fields(config)]


def _parse_value(key: str, text: str) -> Any:
    yaml = _yaml()
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"cannot read the value of `{key}`: {text!r} is not valid YAML.") from error


def _to_plain(value: Any) -> Any:
    """Convert tuples to lists, since YAML without Python tags has no tuples."""
    if isinstance(value, Mapping):
        return {key: _to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_plain(item) for item in value]
    return value


def _yaml() -> Any:
    try:
        import yaml
    except ImportError as error:
        raise ImportError("recipes need the `train` extra: pip install 'flexkern[train]'.") from error
    return yaml
