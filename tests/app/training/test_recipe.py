import dataclasses

import pytest

from flexkern.app.training import Recipe, list_recipes, load_recipe, override
from flexkern.app.training.recipe import read_recipe

MINIMAL = "name: mine\ndata: {name: digits}\nmodel: {name: flexnet, width: 8}\n"


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_of_the_package_loads_and_survives_a_round_trip(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.about
    assert read_recipe(recipe.to_yaml()) == recipe


def test_the_promised_recipes_are_there() -> None:
    adaptive = {"mnist-adaptive", "mnist-adaptive-1k", "cifar10-adaptive-resnet18", "cifar10-thin-resnet"}
    assert {"digits", "mnist-flexnet", "mnist1d-flextcn", *adaptive} <= set(list_recipes())


def test_a_recipe_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_recipe("digits").epochs = 3  # type: ignore[misc]


def test_model_options_stand_beside_the_name() -> None:
    assert read_recipe(MINIMAL).model.options == {"width": 8}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINIMAL + "epoch: 3", r"unknown key `epoch`; did you mean `epochs`\?"),
        (MINIMAL.replace("width", "widht"), r"unknown key `model.widht`; did you mean `model.width`\?"),
        (MINIMAL.replace("name: digits", "name: digits, augmnt: []"), r"`data.augmnt`; did you mean `data.augment`"),
        (MINIMAL + "optimiser: {learning: 3}", r"unknown key `optimiser.learning`; known: name, about"),
        (MINIMAL + "lr: 3", r"unknown key `lr`; did you mean `optimiser.lr`\?"),
        ("name: mine\nmodel: {name: flexnet}", r"missing key `data.name`"),
        (MINIMAL.replace("name: mine", ""), r"missing key `name`"),
        (MINIMAL + "epochs: 0", r"`epochs` must be at least 1, got 0"),
        (MINIMAL + "epochs: 2.5", r"`epochs` must be a whole number, got 2.5"),
        (MINIMAL + "epochs: true", r"`epochs` must be a whole number, got True"),
        (MINIMAL + "batch_size: many", r"`batch_size` must be a whole number, got 'many'"),
        (MINIMAL + "optimiser: {lr: 0}", r"`optimiser.lr` must be above 0, got 0"),
        (MINIMAL + "optimiser: {ema: 1}", r"`optimiser.ema` must be at least 0 and below 1, got 1"),
        (MINIMAL + "optimiser: {lr: .nan}", r"`optimiser.lr` must be finite, got nan"),
        (MINIMAL + "optimiser: {min_lr: 1}", r"`optimiser.min_lr` must be at most `optimiser.lr` = 0.01, got 1"),
        (MINIMAL + "optimiser: 3", r"`optimiser` must be a mapping"),
        (MINIMAL.replace("name: digits", "name: digits, augment: [1]"), r"`data.augment` must be a list of texts"),
        (MINIMAL.replace("width: 8", "classes: 8"), r"`model.classes` comes from the task"),
        ("[1, 2]", r"must be a YAML mapping"),
        ("name: [", r"is not valid YAML"),
    ],
)
def test_bad_recipes_are_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_recipe(text, source="mine.yaml")


def test_an_error_names_the_file(tmp_path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(MINIMAL + "epochs: 0")
    with pytest.raises(ValueError, match=r"mine\.yaml: `epochs`"):
        load_recipe(path)


def test_unknown_names_and_files() -> None:
    with pytest.raises(ValueError, match=r"unknown recipe `digts`; did you mean `digits`\?"):
        load_recipe("digts")
    with pytest.raises(FileNotFoundError, match=r"no recipe file nowhere\.yaml"):
        load_recipe("nowhere.yaml")


def test_yaml_numbers_without_a_dot_are_numbers() -> None:
    assert read_recipe(MINIMAL + "optimiser: {lr: 1e-2}").optimiser.lr == 0.01


@pytest.mark.parametrize("key", ["optimiser.size_lr", "size_lr", "size-lr"])
def test_overrides_take_dashes_and_short_names(key: str) -> None:
    assert override(load_recipe("digits"), {key: "2e-3"}).optimiser.size_lr == 0.002


def test_overrides_reach_nested_model_options() -> None:
    recipe = override(read_recipe(MINIMAL), {"model.generator": "magnet", "model.generator.hidden": "8"})
    assert recipe.model.options["generator"] == {"name": "magnet", "hidden": 8}


def test_another_model_drops_the_options_of_the_first() -> None:
    assert override(read_recipe(MINIMAL), {"model.name": "flextcn"}).model.options == {}


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("modle.width", r"unknown key `modle.width`; did you mean `model.width`\?"),
        ("data.dir.deep", r"unknown key `data.dir.deep`; known: name, about"),
        ("model.widht", r"did you mean `model.width`\?"),
        ("epohcs", r"did you mean `epochs`\?"),
    ],
)
def test_overrides_refuse_unknown_keys(key: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        override(read_recipe(MINIMAL), {key: "3"})


def test_the_run_folder_is_named_after_the_recipe() -> None:
    recipe: Recipe = read_recipe(MINIMAL)
    assert recipe.folder.as_posix() == "runs/mine"
    assert override(recipe, {"out": "elsewhere"}).folder.as_posix() == "elsewhere"
