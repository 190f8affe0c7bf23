"""Damaged and hostile genotypes and `.keras` files, and what comes of them.

    python -m tests.support.hostile_models COUNT FOLDER

Makes COUNT of each kind, and prints how many were read and how many refused in a short line; ends with an
error where one was neither.
"""

import copy
import json
import os
import random
import sys
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from keras_nasnet.genotype import NASNET_A, NASNET_B, Genotype

VALUES = (
    None, True, False, 0, -1, 1, 10**9, 2**63, 10**400, 1.5, float("nan"), float("inf"), -0.0, "", "x" * 10_000,
    "\x1b[2J\n", "nasnet_a", [], {}, [[]], [1] * 2000, {"a": {}}, [[[[[[]]]]]], "é",
    {"class_name": "Lambda", "config": {}}, {"class_name": "Dense", "module": "keras.layers", "config": {"units": 3}},
    [None, None, None], ["a", 1],
)  # fmt: skip
KEYS = ("x", "name", "__class__", "layers", "class_name", "config", "training", "dtype")


def changed(document: Any, generator: random.Random) -> Any:
    """Return a copy of a JSON document in which some values, keys or items are others."""
    found = copy.deepcopy(document)
    for _ in range(generator.choice((1, 1, 1, 2, 3))):
        places = [(owner, key) for owner, key in _places(found)]
        if not places:
            return generator.choice(VALUES)
        owner, key = generator.choice(places)
        chance = generator.random()
        if chance < 0.65:
            owner[key] = copy.deepcopy(generator.choice(VALUES))
        elif chance < 0.8:
            del owner[key]
        elif isinstance(owner, dict):
            owner[generator.choice(KEYS)] = copy.deepcopy(generator.choice(VALUES))
        else:
            owner.append(copy.deepcopy(owner[key]))
    return found


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])


def genotypes(count: int, seed: int = 0) -> Iterator[str]:
    """Yield the JSON of genotypes that are none, or others."""
    generator = random.Random(seed)
    for number in range(count):
        yield json.dumps(changed((NASNET_A, NASNET_B)[number % 2].to_dict(), generator))


def keras_files(sources: list[Path], path: Path, count: int, seed: int = 0) -> Iterator[str]:
    """Write one damaged or hostile file after the other to a path, and yield what is wrong with it.

    Args:
        sources: `.keras` files that are whole.
        path: of the file.
        count: how many.
        seed: of what is random.
    """
    generator = random.Random(seed)
    contents = []
    for source in sources:
        with zipfile.ZipFile(source) as archive:
            contents.append({name: archive.read(name) for name in archive.namelist()})
    for _ in range(count):
        number = generator.randrange(len(sources))
        members, chance = dict(contents[number]), generator.random()
        if chance < 0.75:
            members["config.json"] = json.dumps(changed(json.loads(members["config.json"]), generator)).encode()
            _write(path, members, zipfile.ZIP_STORED)
            yield "config"
        elif chance < 0.88:
            data = bytearray(sources[number].read_bytes())
            for _ in range(generator.choice((1, 3, 30))):
                begin = 0 if generator.random() < 0.5 else len(data) - 400  # of an archive, its list of members
                data[generator.randrange(begin, len(data))] = generator.randrange(256)
            path.write_bytes(data[: generator.randrange(len(data))] if generator.random() < 0.3 else data)
            yield "bytes"
        else:
            change = generator.choice(("blanks", "deep", "empty", "noise", "outside", "nothing"))
            name = generator.choice(("config.json", "model.weights.h5"))
            replaced = {
                "blanks": b" " * 2**25 + members["config.json"],
                "deep": b"[" * 10**6,
                "empty": b"",
                "noise": generator.randbytes(1000),
            }
            if change in replaced:
                members[name] = replaced[change]
            elif change == "outside":
                members |= {"../evil": b"x", "/evil": b"x"}
            else:
                del members[name]
            _write(path, members, generator.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)))
            yield f"archive, {change}"


def _write(path: Path, members: dict[str, bytes], compression: int) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def outcome(act: Callable[[], object]) -> str:
    """Return "read" or "refused".

    Raises:
        RuntimeError: if it was neither, in one short line.
    """
    try:
        act()
    except Exception as error:
        text = str(error)
        if type(error) is not ValueError or "\n" in text or len(text) > 1500:
            raise RuntimeError(f"{type(error).__name__}: {text[:1000]!r}") from error
        return "refused"
    return "read"


def write_sources(folder: Path) -> list[Path]:
    """Write small models of all kinds that are understood, and return their files."""
    import keras
    from keras import layers

    from keras_nasnet import NASNet, NASNetBackbone
    from tests.support.toy import NETWORK

    small = NETWORK | {"stem": "cifar"}
    base, image = NASNet(**small, include_top=False, input_shape=(32, 32, 3)), keras.Input((32, 32, 3))
    x = keras.Sequential([layers.RandomFlip(), layers.Rescaling(1 / 255)])(image)
    x = layers.BatchNormalization()(layers.GlobalAveragePooling2D()(NASNetBackbone(**small)(x)))
    models = {
        "plain": NASNet(**small, classes=3, class_names=["a", "b", "c"], input_shape=(32, 32, 3)),
        "flat": keras.Model(base.input, layers.Dense(3)(layers.GlobalAveragePooling2D()(base.output))),
        "nested": keras.Model(image, layers.Dense(1, "sigmoid")(layers.Dropout(0.1)(x))),
    }
    for name, model in models.items():
        model.save(folder / f"{name}.keras")
    return [folder / f"{name}.keras" for name in models]


def main(count: int, folder: Path) -> int:
    from keras_nasnet.zoo import loading

    folder.mkdir(parents=True, exist_ok=True)
    path, counts, longest = folder / "model.keras", Counter[str](), 0.0
    acts: Iterator[tuple[str, Callable[[], object]]] = (
        ("genotype", lambda text=text: Genotype.from_json(text)) for text in genotypes(count)
    )
    files = (
        (f".keras, {what}", lambda: (loading.check(path), loading.load(path)))
        for what in keras_files(write_sources(folder), path, count)
    )
    for kinds in (acts, files):
        for kind, act in kinds:
            begun = time.monotonic()
            try:
                counts[f"{kind}: {outcome(act)}"] += 1
            except RuntimeError:
                counts[f"{kind}: NEITHER"] += 1
                traceback.print_exc(limit=-3)
            longest = max(longest, time.monotonic() - begun)
    for kind in sorted(counts):
        print(f"{counts[kind]:>7}  {kind}")
    print(f"{longest:.1f} s at most")
    return sum(number for kind, number in counts.items() if kind.endswith("NEITHER"))


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.exit(min(1, main(int(sys.argv[1]), Path(sys.argv[2]))))
