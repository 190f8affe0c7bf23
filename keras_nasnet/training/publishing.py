"""How the folder of a training run is published: its recipe goes with the network."""

import os
from dataclasses import replace
from pathlib import Path

from keras_nasnet.training.recipe import Recipe, get_recipe
from keras_nasnet.zoo.card import Origin
from keras_nasnet.zoo.publishing import LICENCE, Publisher, read_metrics
from keras_nasnet.zoo.sources import hub


class RunPublisher(Publisher):
    """Publishes the network of a training run, with its recipe on the model card."""

    def origin(self, source: str | os.PathLike[str], licence: str | None) -> Origin:
        """Return what the run's recipe and results say."""
        recipe = get_recipe(Path(source, "recipe.toml"))
        description = f"A NASNet trained with the recipe {recipe.name}"
        shown = _without_places(recipe).to_toml()
        return Origin(description, licence or LICENCE, recipe.dataset, read_metrics(source), recipe=shown)


def _without_places(recipe: Recipe) -> Recipe:
    """Where folders and files lie on the publisher's machine is nobody else's business."""
    variant = recipe.variant if hub.is_address(recipe.variant) else Path(recipe.variant).name
    return replace(recipe, dataset=Path(recipe.dataset).name, variant=variant)
