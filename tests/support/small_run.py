"""A training run's folder with a small net in it, for the tests of what is published."""

import json

import numpy as np

from keras_nasnet import NASNet
from keras_nasnet.accelerate.random_values import without_random_values
from keras_nasnet.models.weights import save_model
from tests.support.toy import NETWORK

REPO = "someone/small-net"
SMALL = {**NETWORK, "stem": "cifar", "stem_filters": 4}
METRICS = [{"name": "top1", "value": 0.9125, "data": "toys test, 40 images", "script": "s", "date": "2026-01-02"}]


def write_run(folder, **options):
    """Returns the net; its weights are random, also the statistics of batch normalization."""
    with without_random_values():
        model = NASNet(
            **SMALL
            | {
                "classes": 3,
                "class_names": ["ant", "bee", "größe"],
                "preprocessing": {
                    "height": 32,
                    "width": 32,
                    "crop_fraction": 0.875,
                    "mean": [1, 2, 3],
                    "std": [4, 5, 6],
                },
                "name": "small",
            }
            | options
        )
    random = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(random.uniform(0.1, 1, variable.shape))
    save_model(model, folder / "model.keras")
    (folder / "metrics.json").write_text(json.dumps(METRICS))
    (folder / "recipe.toml").write_text('name = "mine"\ndataset = "photos"\nvariant = "/home/me/secret.keras"\n')
    return model
