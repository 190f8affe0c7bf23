"""The formats that are read from outside: sound inputs, what is made of them, and how the package reads them.

A row of `FORMATS` takes an empty folder and returns a `Format`. What is read is what the commands call.
"""

import importlib.util
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.security.mutations import HOSTILE, harmed, json_text
from tests.support.damage import damaged


@dataclass(frozen=True)
class Format:
    """A format of the corpus.

    Args:
        sound: inputs that must be read.
        make: of a generator of random numbers, an input.
        read: reads an input; takes it, and an empty folder to work in.
    """

    sound: Sequence[Any]
    make: Callable[[np.random.Generator], Any]
    read: Callable[[Any, Path], object]


def of_bytes(sound: Sequence[bytes], read: Callable[[bytes, Path], object]) -> Format:
    """A format whose sound files are damaged byte by byte."""
    return Format(sound, lambda random: damaged(sound[random.integers(len(sound))], random), read)


def of_data(sound: Sequence[Any], write: Callable[[Any, np.random.Generator], bytes], read: Any) -> Format:
    """A format of JSON-like data, which is harmed as data and then, sometimes, damaged as text."""
    generator = np.random.default_rng(0)

    def make(random: np.random.Generator) -> bytes:
        return write(harmed(sound[random.integers(len(sound))], random), random)

    whole = [_undamaged(write, data, generator) for data in sound]
    return Format(whole, make, read)


def _undamaged(write: Callable[[Any, np.random.Generator], bytes], data: Any, random: np.random.Generator) -> bytes:
    class Calm:
        def random(self) -> float:
            return 0.9

    return write(data, Calm())  # type: ignore[arg-type]


def _file(place: Path, name: str, content: bytes) -> Path:
    path = place / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# Images.


def _picture() -> Any:
    from PIL import Image

    ramp = np.linspace(0, 200, 48 * 40 * 3).reshape(40, 48, 3)
    return Image.fromarray((ramp + np.random.default_rng(0).integers(0, 56, ramp.shape)).astype(np.uint8))


def _images(suffix: str, *kinds: tuple[str, dict[str, Any]]) -> Callable[[Path], Format]:
    def make(folder: Path) -> Format:
        contents = []
        for mode, options in kinds:
            buffer = io.BytesIO()
            picture = _picture()
            if mode == "I;16":
                from PIL import Image

                picture = Image.fromarray((np.asarray(picture)[..., 0].astype(np.uint16) << 8) + 77)
            elif mode == "P":
                picture = picture.quantize(16)
            else:
                picture = picture.convert(mode)
            picture.save(buffer, suffix, **options)
            contents.append(buffer.getvalue())
        return of_bytes(contents, lambda content, place: _read_image(_file(place, f"x.{suffix.lower()}", content)))

    return make


def _read_image(path: Path) -> None:
    from keras_nasnet.common.images import Preprocessing

    pixels = Preprocessing(32, 32)(path)
    assert pixels.shape == (1, 32, 32, 3) and np.isfinite(pixels).all()


def _exif(folder: Path) -> Format:
    """JPEGs whose EXIF block is made at random, by the rules of TIFF or nearly so."""
    buffer = io.BytesIO()
    _picture().save(buffer, "JPEG")
    jpeg = buffer.getvalue()

    def with_exif(block: bytes) -> bytes:
        body = b"Exif\0\0" + block
        return jpeg[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + jpeg[2:]

    def make(random: np.random.Generator) -> bytes:
        order = str(random.choice(["little", "big"]))
        number = lambda value, size: (int(value) % 256**size).to_bytes(size, order)  # type: ignore[arg-type]  # noqa: E731
        count = int(random.choice([0, 1, 2, 5, 20, 65535], p=[0.05, 0.3, 0.3, 0.2, 0.1, 0.05]))
        entries = b""
        for _ in range(min(count, 30)):
            tag = random.choice([0x0112, 0x8769, 0x8825, 0xA005, 0x927C, 0x0131, 0x9286, random.integers(65536)])
            kind = random.choice([0, 1, 2, 3, 4, 5, 7, 9, 10, 12, 13, 99, 65535])
            length = random.choice([0, 1, 2, 3, 8, 1000, 2**31, 2**32 - 1])
            value = random.choice([0, 1, 6, 8, 9, 26, 100, 65535, 2**31, 2**32 - 1])
            entries += number(tag, 2) + number(kind, 2) + number(length, 4) + number(value, 4)
        head = {"little": b"II*\0", "big": b"MM\0*"}[order] + number(random.choice([8, 8, 8, 0, 9, 2**31]), 4)
        block = head + number(count, 2) + entries + number(random.choice([0, 8, 2**31]), 4) + random.bytes(40)
        return with_exif(damaged(block, random) if random.random() < 0.3 else block)

    return Format(
        [with_exif(b"II*\0\x08\0\0\0\0\0\0\0\0\0")], make, lambda c, place: _read_image(_file(place, "x.jpg", c))
    )


# Documents.


def _genotype(folder: Path) -> Format:
    from keras_nasnet.genotype import GENOTYPES, Genotype

    def read(content: bytes, place: Path) -> None:
        genotype = Genotype.from_json(content.decode("utf-8", "replace"))
        assert genotype.digest and genotype.filters(768)

    return of_data([GENOTYPES.get(name).to_dict() for name in ("nasnet_a", "nasnet_c")], json_text, read)


def _preprocessing(folder: Path) -> Format:
    from keras_nasnet.common.documents import parse_json
    from keras_nasnet.common.images import Preprocessing

    def read(content: bytes, place: Path) -> None:
        pixels = Preprocessing.from_dict(parse_json(content, "preprocessing"))(np.zeros((30, 40, 3), np.uint8))
        assert np.isfinite(pixels).all()

    return of_data([Preprocessing(32, 32).to_dict(), Preprocessing(32, 48, None).to_dict()], json_text, read)


def _toml_text(data: Any, random: np.random.Generator) -> bytes:
    import tomli_w

    try:
        text = tomli_w.dumps(data).encode("utf-8", "surrogatepass")
    except (TypeError, ValueError, RecursionError, AttributeError):  # what TOML cannot hold
        text = b"x = " + b"[" * 5000
    return damaged(text, random) if random.random() < 0.3 else text


def _without_none(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _without_none(value) for key, value in data.items() if value is not None}
    if isinstance(data, list | tuple):
        return [_without_none(value) for value in data if value is not None]
    return data


def _recipe(folder: Path) -> Format:
    from keras_nasnet.training.recipe import get_recipe

    sound = [_without_none(get_recipe(name).to_dict()) for name in ("cifar10", "imagenet_mobile")]
    return of_data(sound, _toml_text, lambda content, place: get_recipe(_file(place, "recipe.toml", content)))


def _plan(folder: Path) -> Format:
    from keras_nasnet.search.run.presets import get_plan

    sound = [_without_none(get_plan(name).to_dict()) for name in ("quick", "nasnet")]
    return of_data(sound, _toml_text, lambda content, place: get_plan(_file(place, "plan.toml", content)))


def _catalog(folder: Path) -> Format:
    import tomllib

    import keras_nasnet.zoo.catalog
    from keras_nasnet import zoo

    files = sorted(Path(keras_nasnet.zoo.catalog.__path__[0]).glob("*.toml"))[:6]

    def read(content: bytes, place: Path) -> None:
        os.environ["KERAS_NASNET_CATALOG"] = str(place)
        _file(place, "own_network.toml", content)
        zoo.info("own_network")

    sound = []
    for file in files:
        data = tomllib.loads(file.read_text())
        if not isinstance(data.get("class_names"), str):
            sound.append(data)
    return of_data(sound, _toml_text, read)


# Datasets.


def _npz(folder: Path) -> Format:
    from keras_nasnet.data.datasets import open_dataset
    from tests.support.toy import write_npz

    content = write_npz(folder / "toy.npz", train=12, test=6).read_bytes()
    arrays = dict(np.load(folder / "toy.npz"))

    def make(random: np.random.Generator) -> bytes:
        if random.random() < 0.4:
            return damaged(content, random)
        changed = dict(arrays)
        key = str(random.choice(list(changed)))
        choices: list[Any] = [
            changed[key].astype(np.float32), changed[key].astype(np.float32) / 255, changed[key][..., None],
            changed[key].astype(object), changed[key][:0], changed[key].astype(str), changed[key] - 5,
            np.full_like(changed[key], 200), np.array(3), changed[key][0], np.zeros((3, 0, 0, 3), np.uint8),
            changed[key].astype(np.float64) * np.nan, changed[key].astype(np.int64) * 10**9, changed[key][::-1, ::-1]
            if changed[key].ndim > 1 else changed[key][::2], np.array(["2020-01-01"] * 12, "M8[D]"),
        ]  # fmt: skip
        changed[key] = choices[random.integers(len(choices))]
        if random.random() < 0.2:
            del changed[str(random.choice(list(changed)))]
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **changed)
        return _with_header(buffer.getvalue(), random) if random.random() < 0.4 else buffer.getvalue()

    def read(content: bytes, place: Path) -> None:
        dataset = open_dataset(str(_file(place, "own.npz", content)), image_size=None)
        for images, labels in dataset.train.eval_batches(4):
            assert images.dtype == np.uint8 and len(images) == len(labels)

    return Format([content], make, read)


def _with_header(content: bytes, random: np.random.Generator) -> bytes:
    """An .npz of which one array claims another shape or type than it has."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w") as new:
        chosen = int(random.integers(len(old.namelist())))
        for number, name in enumerate(old.namelist()):
            data = old.read(name)
            if number == chosen:
                shape = str(
                    random.choice(["(1000000000,)", "(1000000000000000000000,)", "(-1, 4)", "(12, 32, 32, 30)", "()"])
                )
                header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
                data = b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header + data[-500:]
            new.writestr(name, data)
    return buffer.getvalue()


def _coco(folder: Path) -> Format:
    from keras_nasnet.detection.data.annotations import read_dataset
    from tests.support.small_coco import CONTENT, write_coco

    def read(content: bytes, place: Path) -> None:
        write_coco(place)
        dataset = read_dataset(_file(place, "annotations_coco.json", content))
        _check_inside(dataset, place)

    polygons = json.loads(json.dumps(CONTENT))
    for item in polygons["annotations"]:
        item["segmentation"] = [[1, 1, 20, 1, 20, 15, 1, 15]]
    return of_data([CONTENT, polygons], json_text, read)


def _check_inside(dataset: Any, place: Path) -> None:
    for image in dataset.images:
        assert Path(os.path.realpath(image.path)).is_relative_to(os.path.realpath(place)), "reads an image elsewhere"


def _voc(folder: Path) -> Format:
    from keras_nasnet.detection.data.annotations import read_dataset
    from tests.support.small_voc import VOC, write_voc

    def make(random: np.random.Generator) -> bytes:
        text = VOC.replace("{filename}", "a.jpg")
        for _ in range(random.integers(1, 3)):
            value = str(HOSTILE[random.integers(len(HOSTILE))])[:3000]
            old = str(random.choice(["a.jpg", "40", "30", "dog", "5.5", "1", "cat"]))
            text = text.replace(old, value, int(random.integers(1, 3)))
        if random.random() < 0.1:
            levels = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(9))
            text = f'<!DOCTYPE a [<!ENTITY e0 "dog">{levels}]>' + text.replace("dog", "&e9;")
        if random.random() < 0.1:
            text = '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + text.replace("dog", "&e;")
        if random.random() < 0.05:
            text = "<a>" * 100_000
        data = text.encode("utf-8", "replace")
        return damaged(data, random) if random.random() < 0.4 else data

    def read(content: bytes, place: Path) -> None:
        write_voc(place)
        _file(place, "Annotations/a.xml", content)
        _check_inside(read_dataset(place), place)

    return Format([VOC.replace("{filename}", "a.jpg").encode()], make, read)


def _labels(folder: Path) -> Format:
    """A table of labels for images that lie flat."""
    from keras_nasnet.data.datasets import open_dataset

    buffer = io.BytesIO()
    _picture().save(buffer, "JPEG")
    names = [f"{number}.jpg" for number in range(6)]
    sound = "path,label\n" + "".join(f"{name},{'cat' if number % 2 else 'dog'}\n" for number, name in enumerate(names))

    def make(random: np.random.Generator) -> bytes:
        text = sound
        for _ in range(random.integers(1, 4)):
            value = str(HOSTILE[random.integers(len(HOSTILE))])[:5000]
            old = str(random.choice(["0.jpg", "1.jpg", "cat", "dog", "path", "label", ",", "\n"]))
            text = text.replace(old, value, int(random.integers(1, 4)))
        data = text.encode(str(random.choice(["utf-8", "utf-16", "cp1252"])), "replace")
        return damaged(data, random) if random.random() < 0.5 else data

    def read(content: bytes, place: Path) -> None:
        for name in names:
            _file(place, f"photos/{name}", buffer.getvalue())
        table = _file(place, "photos/labels.csv", content)
        dataset = open_dataset(place / "photos", image_size=(16, 16), labels=table)
        assert 1 < len(dataset.class_names) <= 6

    return Format([sound.encode()], make, read)


def _tree(folder: Path) -> Format:
    """A folder of class folders with links, loops, pipes, odd names and files that are no images."""
    from keras_nasnet.data.datasets import open_dataset

    buffer = io.BytesIO()
    _picture().resize((12, 10)).save(buffer, "PNG")
    odd = [
        "a", "train", "val", "test", "@eaDir", "__MACOSX", "._x.png", ".hidden", "Thumbs.db", "desktop.ini", "x.png",
        "n\nl", "\x1b[2J", "e\u0301", "\xe9", "CAT", "cat ", "-rf", "'", "a" * 200, "\udcff\udcfe",
    ]  # fmt: skip

    def make(random: np.random.Generator) -> list[tuple[str, str, str]]:
        entries = [("file", f"{name}/{number}.png", "") for name in ("cat", "dog") for number in range(3)]
        for _ in range(random.integers(1, 12)):
            parts = [str(random.choice(["cat", "dog", *odd])) for _ in range(random.integers(1, 5))]
            kind = str(random.choice(["file", "text", "empty", "folder", "link", "pipe"]))
            target = str(random.choice(["..", ".", "../..", "../../outside", "/dev/zero", "/etc", "cat", "nowhere"]))
            entries.append((kind, "/".join(parts), target))
        return entries

    def read(entries: list[tuple[str, str, str]], place: Path) -> None:
        root = place / "photos"
        for kind, name, target in entries:
            path = root / name
            if not os.path.realpath(path.parent).startswith(os.path.realpath(place)):
                continue
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                if kind == "folder":
                    path.mkdir()
                elif kind == "link":
                    path.symlink_to(target)
                elif kind == "pipe":
                    os.mkfifo(path)
                elif not os.path.lexists(path):
                    path.write_bytes({"file": buffer.getvalue(), "text": b"text", "empty": b""}[kind])
            except OSError:  # what cannot be made is not there
                continue
        open_dataset(root, image_size=(16, 16))

    return Format([make(np.random.default_rng(0))[:6]], make, read)


def _yolo(folder: Path) -> Format:
    """A dataset of YOLO whose data.yaml or labels are hostile."""
    import yaml

    from keras_nasnet.detection.data.annotations import read_splits
    from tests.support.small_coco import picture

    settings = {"path": ".", "train": "images/train", "val": "images/val", "nc": 2, "names": ["dog", "cat"]}
    lines = "0 0.5 0.5 0.2 0.4\n1 0.3 0.3 0.1 0.1\n"

    def make(random: np.random.Generator) -> tuple[bytes, bytes]:
        data, labels = yaml.safe_dump(settings).encode(), lines.encode()
        if random.random() < 0.6:
            try:
                data = yaml.dump(harmed(settings, random)).encode("utf-8", "surrogatepass")
            except RecursionError:
                data = b"names: " + b"[" * 5000
        if random.random() < 0.3:
            data = damaged(data, random)
        if random.random() < 0.6:
            value = str(HOSTILE[random.integers(len(HOSTILE))])[:5000]
            labels = lines.replace(str(random.choice(["0", "1", "0.5", " ", "\n"])), value).encode("utf-8", "replace")
        return data, damaged(labels, random) if random.random() < 0.3 else labels

    def read(content: tuple[bytes, bytes], place: Path) -> None:
        for part in ("train", "val"):
            for number in range(2):
                (place / "images" / part).mkdir(parents=True, exist_ok=True)
                picture(seed=number).save(place / "images" / part / f"{part}{number}.jpg")
                _file(place, f"labels/{part}/{part}{number}.txt", content[1])
        _file(place, "data.yaml", content[0])
        for dataset in read_splits(place):
            _check_inside(dataset, place)

    return Format([(yaml.safe_dump(settings).encode(), lines.encode())], make, read)


# Networks and weights.


def _network(**options: Any) -> Any:
    from keras_nasnet import NASNet
    from keras_nasnet.accelerate.random_values import without_random_values
    from tests.support.toy import NETWORK

    with without_random_values():
        model = NASNet(**{**NETWORK, "stem": "cifar", "stem_filters": 4, "classes": 3} | options)
    random = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(random.uniform(0.1, 1, variable.shape))
    return model


def _model_folder(folder: Path) -> Format:
    """A published folder whose config is hostile and whose checksums are right."""
    import keras_nasnet
    from keras_nasnet.common.checksum import write_sums
    from keras_nasnet.zoo import model_folder

    model = _network(class_names=["a", "b", "c"])
    model_folder.write(model, folder / "sound", [], "card")
    files = {path.name: path.read_bytes() for path in (folder / "sound").iterdir() if path.is_file()}

    def read(content: bytes, place: Path) -> None:
        for name, data in files.items():
            if name != "SHA256SUMS":
                _file(place, f"model/{name}", data)
        _file(place, "model/config.json", content)
        write_sums(place / "model")
        keras_nasnet.load(place / "model")

    return of_data([json.loads(files["config.json"])], json_text, read)


def _keras_file(folder: Path) -> Format:
    """A .keras file whose config is hostile, whose members are others, or whose bytes are damaged."""
    import keras_nasnet
    from keras_nasnet.models.weights import save_model

    save_model(_network(class_names=["a", "b", "c"]), folder / "net.keras")
    whole = (folder / "net.keras").read_bytes()
    with zipfile.ZipFile(folder / "net.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])

    def make(random: np.random.Generator) -> bytes:
        chance = random.random()
        if chance < 0.3:
            return damaged(whole, random)
        changed = dict(members)
        if chance < 0.8:
            changed["config.json"] = json_text(harmed(config, random), random)
        elif chance < 0.85:
            changed["config.json"] = members["config.json"] + b" " * 2**28
        elif chance < 0.9:
            del changed[str(random.choice(list(changed)))]
        elif chance < 0.95:
            changed["../../outside/planted"] = changed["/planted"] = b"planted"
        else:
            changed["model.weights.h5"] = damaged(members["model.weights.h5"], random)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in changed.items():
                archive.writestr(name, data)
        return buffer.getvalue()

    return Format([whole], make, lambda content, place: keras_nasnet.load(_file(place, "net.keras", content)))


def _weights(name: str, to: str | None = None, **options: Any) -> Callable[[Path], Format]:
    def make(folder: Path) -> Format:
        from keras_nasnet.zoo.formats.registry import load_weights, save_weights

        model = _network(**options)
        save_weights(model, folder / name, to)
        content = (folder / name).read_bytes()
        return of_bytes([content], lambda content, place: load_weights(_file(place, name, content), model))

    return make


_SMALL = {"genotype": "nasnet_a", "num_blocks": 1, "penultimate_filters": 192, "stem": "imagenet", "stem_filters": 8}
_TIMM = _SMALL | {"num_blocks": 6, "skip_reduction": True}


def _h5(folder: Path) -> Format:
    """An .h5 file, damaged, or with datasets that lie elsewhere, are virtual, or hold other things than numbers."""
    import h5py

    from keras_nasnet.zoo.formats.registry import load_weights, save_weights

    model = _network(**_SMALL)
    save_weights(model, folder / "net.h5")
    whole = (folder / "net.h5").read_bytes()
    (folder / "secret.bin").write_bytes(b"\1" * 2**20)
    with h5py.File(folder / "secret.h5", "w") as file:
        file["data"] = np.ones((3, 3, 3, 8), np.float32)
    with h5py.File(folder / "net.h5") as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)

    def make(random: np.random.Generator) -> bytes:
        if random.random() < 0.5:
            return damaged(whole, random)
        path = folder / "made.h5"
        path.write_bytes(whole)
        with h5py.File(path, "r+") as file:
            name = names[random.integers(len(names))]
            shape = file[name].shape
            del file[name]
            kind = random.integers(7)
            if kind == 0:
                file[name] = h5py.ExternalLink(str(folder / "secret.h5"), "data")
            elif kind == 1:
                file[name] = h5py.SoftLink(f"/{names[0]}")
            elif kind == 2:
                size = int(np.prod(shape)) * 4
                file.create_dataset(name, shape, "f4", external=[(str(folder / "secret.bin"), 0, size)])
            elif kind == 3:
                layout = h5py.VirtualLayout(shape, "f4")
                if shape:
                    layout[...] = h5py.VirtualSource(str(folder / "secret.h5"), "data", shape)
                file.create_virtual_dataset(name, layout)
            elif kind == 4:
                file.create_dataset(name, (2**31, 2**10), "f4", chunks=(1024, 1024), compression="gzip")
            elif kind == 5:
                file[name] = np.full(shape, np.nan, np.float32)
            else:
                file.create_dataset(name, data="text")
        return path.read_bytes()

    return Format([whole], make, lambda content, place: load_weights(_file(place, "net.h5", content), model))


def _slim(folder: Path) -> Format:
    """A .tar.gz of a TF-slim checkpoint: damaged, or with members that no archive should have."""
    import gzip

    from keras_nasnet.zoo.formats.registry import load_weights
    from tests.support.foreign_files import write_slim

    model = _network(**_SMALL)
    write_slim(folder / "net.tar.gz", model)
    plain = gzip.decompress((folder / "net.tar.gz").read_bytes())
    unpacked = folder / "net.tar.gz.unpacked"

    def member(kind: bytes, name: str, link: str = "", size: int = 0) -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.size = kind, link, size
        return info

    def make(random: np.random.Generator) -> bytes:
        chance = random.random()
        if chance < 0.4:
            return gzip.compress(damaged(plain, random), 1)
        if chance < 0.5:
            return damaged(gzip.compress(plain, 1), random)
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
            names = sorted(path.name for path in unpacked.iterdir())
            evil = str(
                random.choice(["../../outside/planted", "/planted", "model.ckpt.index", "a/../../planted", names[0]])
            )
            link = str(random.choice(["../../outside", "/etc/passwd", names[0], "."]))
            kinds = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE]
            archive.addfile(member(kinds[random.integers(len(kinds))], evil, link))
            if chance < 0.7:
                archive.addfile(member(tarfile.SYMTYPE, "d", "../../outside"))
                archive.addfile(member(tarfile.REGTYPE, "d/planted", size=7), io.BytesIO(b"planted"))
            if chance < 0.9:
                for name in names:
                    data = (unpacked / name).read_bytes()
                    data = damaged(data, random) if random.random() < 0.5 else data
                    archive.addfile(member(tarfile.REGTYPE, name, size=len(data)), io.BytesIO(data))
        return buffer.getvalue()

    whole = (folder / "net.tar.gz").read_bytes()
    return Format([whole], make, lambda content, place: load_weights(_file(place, "net.tar.gz", content), model))


def _tf_checkpoint(folder: Path) -> Format:
    """A TF checkpoint, unpacked, of which one file is damaged."""
    from keras_nasnet.zoo.formats.registry import load_weights
    from tests.support.foreign_files import write_slim

    model = _network(**_SMALL)
    write_slim(folder / "net.tar.gz", model)
    files = {path.name: path.read_bytes() for path in (folder / "net.tar.gz.unpacked").iterdir()}
    index = next(name for name in files if name.endswith(".index"))

    def make(random: np.random.Generator) -> dict[str, bytes]:
        name = str(random.choice(list(files), p=[0.8 if n == index else 0.2 / (len(files) - 1) for n in files]))
        return files | {name: damaged(files[name], random)}

    def read(content: dict[str, bytes], place: Path) -> None:
        for name, data in content.items():
            _file(place, name, data)
        load_weights(place / index, model)

    return Format([files], make, read)


def _pth(folder: Path) -> Format:
    import pickle

    import torch
    from safetensors.numpy import load_file

    from keras_nasnet.zoo.formats.registry import load_weights, save_weights

    model = _network(**_TIMM)
    save_weights(model, folder / "net.safetensors", "timm")
    state = {name: torch.from_numpy(value) for name, value in load_file(folder / "net.safetensors").items()}
    torch.save(state, folder / "net.pth")
    whole = (folder / "net.pth").read_bytes()
    torch.save(state, folder / "old.pth", _use_new_zipfile_serialization=False)
    old = (folder / "old.pth").read_bytes()

    class Planted:
        def __reduce__(self) -> Any:
            return os.system, ("echo planted > ../../outside/planted",)

    def make(random: np.random.Generator) -> bytes:
        chance = random.random()
        if chance < 0.7:
            return damaged(whole if chance < 0.4 else old, random)
        buffer = io.BytesIO()
        if chance < 0.75:
            pickle.dump(Planted(), buffer)
        else:
            key = str(random.choice(list(state)))
            things = [
                Planted(),
                torch.sparse_coo_tensor((2, 2)),
                torch.zeros(2**33, device="meta"),
                None,
                "text",
                {"a": 1},
            ]
            torch.save(state | {key: things[random.integers(len(things))]}, buffer)
        return buffer.getvalue()

    return Format([whole, old], make, lambda content, place: load_weights(_file(place, "net.pth", content), model))


# What a run leaves behind.


def _checkpoint(folder: Path) -> Format:
    import keras

    from keras_nasnet.training.checkpoint import Checkpoint

    variables = [keras.Variable(np.ones((4, 4), "float32"), name=name) for name in ("kernel", "bias", "step")]
    Checkpoint(folder / "checkpoint.safetensors").save(variables, {"step": 3, "epoch": 1})
    content = (folder / "checkpoint.safetensors").read_bytes()

    def read(content: bytes, place: Path) -> None:
        checkpoint = Checkpoint(_file(place, "checkpoint.safetensors", content))
        assert checkpoint.progress()
        checkpoint.load(variables)

    return of_bytes([content], read)


def _store(folder: Path) -> Format:
    """A search's store whose bytes are damaged, or whose tables hold or are something else."""
    import sqlite3

    from keras_nasnet.search.store.store import FILE, Store
    from keras_nasnet.search.view.export import export_trials
    from keras_nasnet.search.view.report import write_report
    from keras_nasnet.search.view.status import status
    from tests.support.small_search import CASCADE, make_plan, search

    search(folder, make_plan(**CASCADE))
    path = folder / FILE
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("pragma journal_mode=delete")
    tables = [row[0] for row in database.execute("select name from sqlite_master where type = 'table'")]
    columns = {table: [row[1] for row in database.execute(f"pragma table_info({table})")] for table in tables}
    database.close()
    whole = path.read_bytes()

    def make(random: np.random.Generator) -> bytes:
        if random.random() < 0.5:
            return damaged(whole, random)
        made = folder / "made.sqlite"
        made.write_bytes(whole)
        database = sqlite3.connect(made)
        with database:
            table = tables[random.integers(len(tables))]
            kind = random.integers(6)
            if kind == 0:
                database.execute(f"drop table {table}")
                endless = "with recursive c(x) as (select 1 union all select x+1 from c)"
                values = ", ".join(f"x as {name}" for name in columns[table])
                database.execute(f"create view {table} as {endless} select {values} from c")
            elif kind == 1:
                database.execute(f"alter table {table} add column more text default '{'m' * 1000}'")
            elif kind == 2:
                database.execute(f"create trigger t after insert on {table} begin delete from {table}; end")
            else:
                column = columns[table][random.integers(len(columns[table]))]
                value = HOSTILE[random.integers(len(HOSTILE))]
                if isinstance(value, int) and abs(value) >= 2**63:
                    value = float(value)
                if not isinstance(value, str | int | float | None) or random.random() < 0.2:
                    value = json_text(value, random)
                if isinstance(value, str):
                    value = value.encode("utf-8", "replace").decode()
                try:
                    database.execute(f"update {table} set {column} = ?", (value,))
                except sqlite3.IntegrityError:
                    database.execute(f"delete from {table}")
        database.close()
        return made.read_bytes()

    def read(content: bytes, place: Path) -> None:
        path = _file(place, FILE, content)
        with Store.open(path, readonly=True) as store:
            status(store)
            export_trials(store, place / "trials.csv")
        page = write_report(path, place / "report.html").read_text(encoding="utf-8")
        assert "<script>alert" not in page

    return Format([whole], make, read)


def _params(folder: Path) -> Format:
    import yaml
    from official.core import exp_factory

    from keras_nasnet.detection.garden.experiments import FASTER_RCNN
    from keras_nasnet.detection.garden.params import read_params

    sound = [exp_factory.get_exp_config(FASTER_RCNN).as_dict()]

    def write(data: Any, random: np.random.Generator) -> bytes:
        if random.random() < 0.05:
            return b"a: &a [1]\n" + b"".join(
                b"%c: &%c [%s]\n" % (n + 1, n + 1, b", ".join([b"*%c" % n] * 9)) for n in range(97, 110)
            )
        try:
            text = yaml.dump(data, allow_unicode=False).encode("utf-8", "surrogatepass")
        except RecursionError:
            text = b"a: " + b"[" * 5000
        return damaged(text, random) if random.random() < 0.3 else text

    def read(content: bytes, place: Path) -> None:
        _file(place, "params.yaml", content)
        read_params(place)

    return of_data(sound, write, read)


FORMATS: dict[str, Callable[[Path], Format]] = {
    "jpeg": _images("JPEG", ("RGB", {}), ("RGB", {"progressive": True}), ("L", {}), ("CMYK", {})),
    "png": _images("PNG", ("RGB", {}), ("RGBA", {}), ("P", {"transparency": 3}), ("I;16", {})),
    "webp": _images("WEBP", ("RGB", {}), ("RGBA", {"lossless": True})),
    "bmp": _images("BMP", ("RGB", {}), ("P", {})),
    "gif": _images("GIF", ("P", {})),
    "tiff": _images(
        "TIFF",
        ("RGB", {}),
        ("L", {}),
        ("I;16", {}),
        ("RGB", {"compression": "tiff_lzw"}),
        ("RGB", {"compression": "jpeg"}),
        ("RGBA", {"compression": "tiff_deflate"}),
    ),
    "avif": _images("AVIF", ("RGB", {}), ("RGBA", {})),
    "exif": _exif,
    "genotype": _genotype,
    "preprocessing": _preprocessing,
    "recipe": _recipe,
    "plan": _plan,
    "catalog entry": _catalog,
    "folder": _tree,
    "labels": _labels,
    "npz": _npz,
    "coco": _coco,
    "voc": _voc,
    "yolo": _yolo,
    "model folder": _model_folder,
    "keras": _keras_file,
    "weights.h5": _weights("net.weights.h5"),
    "h5": _h5,
    "safetensors": _weights("net.safetensors"),
    "timm safetensors": _weights("net.safetensors", "timm", **_TIMM),
    "slim archive": _slim,
    "tf checkpoint": _tf_checkpoint,
    "pth": _pth,
    "checkpoint": _checkpoint,
    "store": _store,
    "params.yaml": _params,
}

NEEDS = {"pth": "torch", "params.yaml": "official"}


def is_installed(name: str) -> bool:
    """Whether what the format's reader needs is installed."""
    return name not in NEEDS or importlib.util.find_spec(NEEDS[name]) is not None
