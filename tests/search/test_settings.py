"""What a user has set for Keras elsewhere, such as in keras.json, changes nothing of a search."""

from collections.abc import Iterator
from dataclasses import replace

import keras
import pytest

from keras_nasnet.data.arrays import ArraySplit
from keras_nasnet.search.evaluators.registry import make_evaluator
from keras_nasnet.search.trial import Fidelity
from tests.support.small_policy import learn, make
from tests.support.toy import GENOTYPE, dataset

TINY = Fidelity(epochs=1, filters=2, num_blocks=1)


@pytest.fixture
def odd_settings() -> Iterator[None]:
    before = keras.config.floatx(), keras.config.image_data_format()
    keras.config.set_floatx("float16")
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_floatx(before[0])
    keras.config.set_image_data_format(before[1])


@pytest.mark.parametrize(
    "name, fidelity, options",
    [
        pytest.param("scratch", TINY, {}, marks=pytest.mark.slow),
        pytest.param("shared", replace(TINY, epochs=0), {"steps": 1, "eval_batches": 1}, marks=pytest.mark.slow),
        ("zero_cost", replace(TINY, epochs=0), {}),
    ],
    ids=["scratch", "shared", "zero_cost"],
)
def test_evaluators_judge_as_they_always_do(request, tmp_path, name, fidelity, options):
    small = dataset()
    images, labels = small.train.images[:, ::4, ::4], small.train.labels
    split = ArraySplit(images, labels, 3)
    data = replace(small, train=split, validation=split, test=None)
    options = {"data": data, "batch": 16, **options} | ({} if name == "zero_cost" else {"augmentation": "none"})

    def judged(folder: str) -> tuple[float | None, dict[str, float]]:
        result = make_evaluator({"name": name, **options}).evaluate(
            GENOTYPE, fidelity, 0, tmp_path / folder / "trials" / "0"
        )
        assert result.error is None
        return result.reward, result.extra

    for folder in ("usual", "odd"):
        (tmp_path / folder / "trials" / "0").mkdir(parents=True)
    usual = judged("usual")
    request.getfixturevalue("odd_settings")
    odd = judged("odd")
    assert odd == usual


def test_a_policy_learns_as_it_always_does(request):
    usual = learn(make(), 2)
    request.getfixturevalue("odd_settings")
    assert learn(make(), 2) == usual
