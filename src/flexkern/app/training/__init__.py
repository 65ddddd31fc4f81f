"""Training: recipes, runs and their folders. Needs the `train` extra.

`load_recipe(name)` and `override(recipe, {...})` describe a run, `fit(recipe)` trains it and returns a
`RunRecord`, and `evaluate(run)` measures a finished run again. Lightning is imported when `fit` is first used.
`flexkern.app.training.loop` trains on tensors in memory without Lightning.
"""

from typing import TYPE_CHECKING, Any

from .recipe import DataConfig as DataConfig
from .recipe import ModelConfig as ModelConfig
from .recipe import OptimiserConfig as OptimiserConfig
from .recipe import Recipe as Recipe
from .recipe import list_recipes as list_recipes
from .recipe import load_recipe as load_recipe
from .recipe import override as override
from .record import RunRecord as RunRecord
from .weights import load_weights as load_weights
from .weights import save_weights as save_weights

if TYPE_CHECKING:
    from .evaluation import evaluate as evaluate
    from .fitting import fit as fit


def __getattr__(name: str) -> Any:
    if name == "fit":
        from .fitting import fit

        return fit
    if name == "evaluate":
        from .evaluation import evaluate

        return evaluate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
