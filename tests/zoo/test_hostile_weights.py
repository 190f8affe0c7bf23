"""Weight files that mean harm, or are damaged: refused in one line, with nothing read or written outside them."""

import gzip
import io
import os
import struct
import tarfile

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file

from keras_nasnet import NASNet
from keras_nasnet.accelerate.random_values import without_random_values
from keras_nasnet.common import limits
from keras_nasnet.zoo.formats import h5_file, weights_file
from keras_nasnet.zoo.formats.registry import format_of, load_weights
from keras_nasnet.zoo.formats.slim import from_slim, from_slim_archive, slim_names
from tests.support.foreign_files import write_checkpoint, write_keras_h5, write_slim, write_timm
from tests.support.same_weights import assert_equal, values

CIFAR = {"num_blocks": 1, "penultimate_filters": 96, "stem": "cifar", "stem_filters": 4, "classes": 3}
IMAGENET = {"num_blocks": 1, "penultimate_filters": 192, "stem_filters": 8, "classes": 3}


def network(options):
    with without_random_values():
        model = NASNet(**options)
    random = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(random.uniform(0.5, 1, variable.shape))
    return model


@pytest.fixture(scope="module")
def cifar():
    return network(CIFAR)


@pytest.fixture(scope="module")
def imagenet():
    return network(IMAGENET)


def refusal(read, *arguments):
    with pytest.raises(ValueError) as error:
        read(*arguments)
    text = str(error.value)
    assert text.isprintable() and len(text) < 1000, text
    return text


# === TF-slim: archives ===


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, cifar):
    """The files of a checkpoint, by their names."""
    folder = tmp_path_factory.mktemp("slim")
    write_slim(folder / "net.tar.gz", cifar)
    return {file.name: file.read_bytes() for file in (folder / "net.tar.gz.unpacked").iterdir()}


def member(name, content=b"", kind=tarfile.REGTYPE, target=""):
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(content), kind, target
    return info, io.BytesIO(content)


def write_tar(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for info, content in members:
            archive.addfile(info, content)


def files_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def own_temporary(tmp_path, monkeypatch):
    """All temporary files of this process, so that what is left can be seen."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    return tmp_path / "tmp"


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_only_the_checkpoint_is_unpacked_whatever_lies_beside_it(cifar, checkpoint, tmp_path, own_temporary, mode):
    outside = tmp_path / "outside"
    outside.write_text("as it was")
    members = [
        member("../outside", b"overwritten"),
        member(str(outside), b"overwritten"),
        member("link", kind=tarfile.SYMTYPE, target=str(tmp_path)),
        member("link/outside", b"overwritten"),
        member("hard", kind=tarfile.LNKTYPE, target=str(outside)),
        member("device", kind=tarfile.CHRTYPE),
        member("pipe", kind=tarfile.FIFOTYPE),
        member("._model.ckpt.index", b"of macOS"),
        *(member(f"../../{'d' * 150}/{name}", content) for name, content in checkpoint.items()),
    ]
    write_tar(tmp_path / "net.tar.gz", members, mode)
    expected = values(cifar)
    for variable in cifar.weights:
        variable.assign(np.ones(variable.shape))
    before = files_below(tmp_path)
    load_weights(tmp_path / "net.tar.gz", cifar)
    assert_equal(values(cifar), expected)
    assert files_below(tmp_path) == before
    assert outside.read_text() == "as it was"


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_a_checkpoint_is_no_link_and_no_device(cifar, checkpoint, tmp_path, own_temporary, kind):
    (tmp_path / "secret").write_text("secret")
    (index,) = (content for name, content in checkpoint.items() if name.endswith(".index"))
    data = member("model.ckpt.data-00000-of-00001", kind=kind, target=str(tmp_path / "secret"))
    write_tar(tmp_path / "net.tar.gz", [data, member("model.ckpt.index", index)])
    assert "is a link, a device" in refusal(from_slim_archive, tmp_path / "net.tar.gz", cifar)
    assert os.listdir(own_temporary) == []


def test_an_archive_that_unpacks_to_too_much(cifar, tmp_path, own_temporary, monkeypatch):
    monkeypatch.setattr(limits, "UNPACKED_BYTES", 2**20)
    path = tmp_path / "net.tar.gz"
    zeros = bytes(2**24)
    write_tar(path, [member("model.ckpt.data-00000-of-00001", zeros)])
    assert "unpack to more than" in refusal(from_slim_archive, path, cifar)
    write_tar(path, [member("not wanted", zeros)])
    assert "unpack to more than" in refusal(from_slim_archive, path, cifar)
    path.write_bytes(gzip.compress(zeros))
    refusal(from_slim_archive, path, cifar)
    long_name = tarfile.TarInfo("x" * 200)
    header = long_name.tobuf(tarfile.GNU_FORMAT)
    claimed = bytearray(header[:512])  # a name of 8 GiB
    claimed[124:136] = b"%011o\0" % (2**33 - 1)
    claimed[148:156] = b"%06o\0 " % sum(claimed[:148] + b" " * 8 + claimed[156:])
    path.write_bytes(gzip.compress(bytes(claimed) + zeros))
    assert "text belong to a file in it" in refusal(from_slim_archive, path, cifar)
    monkeypatch.setattr(limits, "ARCHIVE_MEMBERS", 10)
    write_tar(path, [member(str(number)) for number in range(11)])
    assert "more than 10 files" in refusal(from_slim_archive, path, cifar)
    assert os.listdir(own_temporary) == []


def test_damaged_archives(cifar, checkpoint, tmp_path, own_temporary):
    path = tmp_path / "net.tar.gz"
    write_tar(path, [member(name, content) for name, content in checkpoint.items()])
    whole = path.read_bytes()
    for content in (b"", whole[:100], whole[: len(whole) // 2], b"text\n" * 99, whole[:1000] + b"\0" + whole[1001:]):
        path.write_bytes(content)
        assert str(own_temporary) not in refusal(from_slim_archive, path, cifar)
    write_tar(path, [])
    assert "has 0 checkpoints" in refusal(from_slim_archive, path, cifar)
    negative = bytearray(gzip.decompress(whole))  # a size of -512 bytes, at which some versions of tarfile never end
    negative[124:136] = b"\xff" * 10 + struct.pack(">h", -512)
    negative[148:156] = b"%06o\0 " % sum(negative[:148] + b" " * 8 + negative[156:512])
    path.write_bytes(gzip.compress(bytes(negative)))
    refusal(from_slim_archive, path, cifar)


# === TF-slim: checkpoints ===


def crc32c(content):
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_entries_that_would_end_the_process(cifar, checkpoint, tmp_path):
    """Of which the checksums are right: TensorFlow checks what is in them with an abort."""
    for name, content in checkpoint.items():
        (tmp_path / name).write_bytes(content)
    path = tmp_path / "model.ckpt.index"
    whole = path.read_bytes()
    expected = values(cifar)
    end, first, refused = first_block_end(whole), whole.index(b"beta"), 0
    for place in range(first, first + 60):
        changed = bytearray(whole)
        changed[place] ^= 0x87
        changed[end + 1 : end + 5] = crc32c(changed[: end + 1]).to_bytes(4, "little")
        path.write_bytes(changed)
        try:
            from_slim(path, cifar, ema=True)
            assert_equal(values(cifar), expected)  # the entry of a tensor that is not read
        except ValueError as error:
            assert str(error).isprintable()
            refused += 1
    assert refused > 40


def first_block_end(content):
    """The end of the first block of values of an index: its size stands in the block of blocks."""
    footer = content[-48:]
    numbers, at = [], 0
    while len(numbers) < 4:
        number, shift = 0, 0
        while True:
            number |= (footer[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if footer[at - 1] < 128:
                break
        numbers.append(number)
    block = content[numbers[2] :]
    at = 3 + block[1]  # behind the three sizes of an entry and its name: the place, which is 0, and the size
    assert block[at] == 0
    size, shift, at = 0, 0, at + 1
    while True:
        size |= (block[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if block[at - 1] < 128:
            return size


def test_a_cut_off_file_of_values(cifar, checkpoint, tmp_path):
    for name, content in checkpoint.items():
        (tmp_path / name).write_bytes(content)
    data = tmp_path / "model.ckpt.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-1000])
    assert "missing or cut off" in refusal(from_slim, tmp_path / "model.ckpt.index", cifar, True)
    data.unlink()
    assert "missing or cut off" in refusal(from_slim, tmp_path / "model.ckpt.index", cifar, True)


def test_values_that_are_no_numbers(cifar, tmp_path):
    names, tensors = slim_names(cifar), values(cifar)
    tensors = {names[path]: value for path, value in tensors.items()}
    name = names["predictions/bias"]
    for place, (value, words) in enumerate(
        ((np.array(["a", "b", "c"]), "not numbers"), (np.full(3, np.nan, "float32"), f"{name} has values that are not"))
    ):
        write_checkpoint(tmp_path / str(place), tensors | {name: value})
        assert words in refusal(from_slim, tmp_path / f"{place}.index", cifar)


# === HDF5 ===


def replace_dataset(path, model, make):
    """A file of `keras.applications` of which one dataset is made by `make`."""
    write_keras_h5(path, model)
    with h5py.File(path, "r+") as file:
        group = file["stem_bn1/stem_bn1"]
        shape = group["gamma:0"].shape
        del group["gamma:0"]
        make(group, "gamma:0", shape)


def external_storage(folder):
    def make(group, name, shape):
        group.create_dataset(name, shape, "float32", external=[(str(folder / "secret"), 0, h5py.h5f.UNLIMITED)])

    return make


def virtual(folder):
    def make(group, name, shape):
        layout = h5py.VirtualLayout(shape, "float32")
        layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "a", shape)
        group.create_virtual_dataset(name, layout)

    return make


def linked(link):
    return lambda group, name, shape: group.__setitem__(name, link)


def of_type(dtype, **options):
    return lambda group, name, shape: group.create_dataset(name, shape, dtype, **options)


def large_chunk(group, name, shape):
    group.create_dataset(name, shape, "float32", maxshape=(None,), chunks=(2**24,), compression="gzip")[:] = 1


HOSTILE_H5 = {
    "external storage": (external_storage, "lies in another file"),
    "virtual dataset": (virtual, "lies in another file"),
    "external link": (lambda folder: linked(h5py.ExternalLink(str(folder / "other.h5"), "a")), "is a link"),
    "soft link": (lambda folder: linked(h5py.SoftLink("/stem_bn1/stem_bn1/beta:0")), "is a link"),
    "text": (lambda folder: of_type(h5py.string_dtype()), "not numbers"),
    "long text": (lambda folder: of_type("S100000"), "not numbers"),
    "references": (lambda folder: of_type(h5py.ref_dtype), "not numbers"),
    "compound": (lambda folder: of_type([("a", "f4")]), "not numbers"),
    "complex": (lambda folder: of_type("complex64"), "not numbers"),
    "NaN": (lambda folder: of_type("float32", fillvalue=np.nan), "not finite"),
    "infinity": (lambda folder: of_type("float64", fillvalue=1e300), "not finite"),
    "a chunk larger than its dataset": (lambda folder: large_chunk, "packed in pieces"),
}


@pytest.mark.parametrize("kind", HOSTILE_H5)
def test_hdf5_that_is_not_plain_numbers_of_its_own(imagenet, tmp_path, kind):
    (tmp_path / "secret").write_bytes(np.ones(1000, "float32").tobytes())
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["a"] = np.ones(8, "float32")
    make, words = HOSTILE_H5[kind]
    replace_dataset(tmp_path / "net.h5", imagenet, make(tmp_path))
    before = values(imagenet)
    text = refusal(load_weights, tmp_path / "net.h5", imagenet)
    assert words in text and "gamma" in text
    assert_equal(values(imagenet), before)


def test_keras_own_files_are_read_with_the_same_care(cifar, tmp_path):
    path = tmp_path / "net.weights.h5"
    cifar.save_weights(path)
    with h5py.File(path, "r+") as file:
        found = []
        file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
        shape = file[found[0]].shape
        del file[found[0]]
        file[found[0]] = np.full(shape, np.nan, "float32")
    assert "not finite" in refusal(load_weights, path, cifar)
    with h5py.File(path, "r+") as file:
        del file[found[0]]
        file[found[0]] = h5py.ExternalLink(str(tmp_path / "other.h5"), "a")
    assert "is a link" in refusal(load_weights, path, cifar)


def test_what_ends_the_library_does_not_end_the_process(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file["a"] = np.zeros(3)
    with h5_file.opened(tmp_path / "net.h5") as file:
        assert list(file) == ["a"]
    monkeypatch.setattr(h5_file, "_sound", set())
    monkeypatch.setattr(h5_file, "_CHILD", "import os; os.abort()")
    assert "what reads it ends (-6)" in refusal(lambda: h5_file.opened(tmp_path / "net.h5").__enter__())
    monkeypatch.setattr(h5_file, "_CHILD", "import time; time.sleep(60)")
    monkeypatch.setattr(limits, "READING_SECONDS", 0.1)
    assert "cannot be read within" in refusal(lambda: h5_file.opened(tmp_path / "net.h5").__enter__())


def test_hdf5_beyond_the_limits(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "ARCHIVE_MEMBERS", 50)
    monkeypatch.setattr(limits, "WEIGHTS_BYTES", 10**9)
    for fill, words in (
        (lambda file: [file.create_group(str(number)) for number in range(51)], "more than 50"),
        (lambda file: file.create_dataset("a", (10**9,), "float64", chunks=(1000,)), "claims more than"),
        (lambda file: file.create_group("/".join("a" * 300)), "more than 50"),
    ):
        with h5py.File(tmp_path / "net.h5", "w") as file:
            fill(file)
        assert words in refusal(h5_file.read_all, tmp_path / "net.h5")
    monkeypatch.setattr(limits, "ARCHIVE_MEMBERS", 1000)
    assert "too deeply" in refusal(h5_file.read_all, tmp_path / "net.h5")


# === safetensors, and all formats ===


def test_weights_that_are_not_finite_are_refused_by_name(cifar, imagenet, tmp_path):
    name = "predictions/bias"
    for value in (np.nan, np.inf, -np.inf):
        tensors = values(cifar)
        save_file(tensors | {name: np.full(3, value, "float32")}, tmp_path / "net.safetensors")
        assert f"{name} has values that are not finite" in refusal(load_weights, tmp_path / "net.safetensors", cifar)


def test_the_content_says_the_format(cifar, imagenet, tmp_path):
    write_timm(tmp_path / "timm", network(IMAGENET | {"num_blocks": 6, "skip_reduction": True}))
    weights_file.save(cifar, tmp_path / "own.bin")
    write_keras_h5(tmp_path / "net.pth", imagenet)
    write_slim(tmp_path / "net.h5", cifar)
    for name, module in (
        ("timm", "timm"),
        ("own.bin", "weights_file"),
        ("net.pth", "keras_h5"),
        ("net.h5", "slim"),
    ):
        assert type(format_of(tmp_path / name)).__module__.endswith(f".{module}"), name


def test_what_may_not_be_read_is_said_as_such(cifar, tmp_path, monkeypatch):
    weights_file.save(cifar, tmp_path / "net.safetensors")

    def forbidden(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", forbidden)  # root may read everything
    text = refusal(load_weights, tmp_path / "net.safetensors", cifar)
    assert "cannot be read (Permission denied)" in text and "no such file" not in text


def test_a_pipe_is_not_waited_for(cifar, tmp_path):
    for name in ("net.safetensors", "net.h5", "net.weights.h5", "net.pth", "net.tar.gz", "net.index"):
        os.mkfifo(tmp_path / name)
        assert "not a file" in refusal(load_weights, tmp_path / name, cifar)


def test_files_are_as_open_as_the_umask_says(cifar, tmp_path):
    before = os.umask(0o022)
    try:
        weights_file.save(cifar, tmp_path / "net.safetensors")
    finally:
        os.umask(before)
    assert (tmp_path / "net.safetensors").stat().st_mode & 0o777 == 0o644
