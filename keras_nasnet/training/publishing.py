"""How the folder of a training run is published: its recipe goes with the network."""

import os
from pathlib import Path
from typing import Any

import tomli_w

from keras_nasnet.training.recipe import Recipe, get_recipe
from keras_nasnet.zoo.card import Origin
from keras_nasnet.zoo.publishing import LICENCE, Publisher, read_metrics, without_place


class RunPublisher(Publisher):
    """Publishes the network of a training run, with its recipe on the model card."""

    def origin(self, source: str | os.PathLike[str], licence: str | None) -> Origin:
        """Return what the run's recipe and results say."""
        recipe = get_recipe(Path(source, "recipe.toml"))
        description = f"A NASNet trained with the recipe {without_place(recipe.name)}"
        shown = _without_places(recipe)
        return Origin(description, licence or LICENCE, recipe.dataset, read_metrics(source), recipe=shown)


def _without_places(recipe: Recipe) -> str:
    """The recipe as TOML; where folders and files lie on the publisher's machine is nobody else's business."""
    data = recipe.to_dict()
    network = {name: _shown(value) for name, value in data.get("network", {}).items()}
    return tomli_w.dumps({name: _shown(value) for name, value in data.items()} | {"network": network})


def _shown(value: Any) -> Any:
    return without_place(value) if isinstance(value, str) else value
