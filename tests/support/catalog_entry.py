"""An entry of a catalog of one's own (`KERAS_NASNET_CATALOG`) for weights in a file beside it."""

import tomli_w

from keras_nasnet.common.checksum import sha256


def write_entry(folder, name, form, file, builder, source=None, **data):
    """Writes NAME.toml.

    Args:
        folder: that has the file, and is the catalog.
        name: of the entry.
        form: of the file.
        file: its name.
        builder: arguments of NASNet.
        source: what else the entry says of its source.
        **data: what it says instead of, or beside, what is needed.
    """
    known = {"description": "a small net", "task": "classification", "licence": "none"}
    known |= {"parameters": 0, "mult_adds": 0, "preprocessing": {"height": 64, "width": 64}}
    known["source"] = {"format": form, "file": file, "sha256": sha256(folder / file)} | (source or {})
    (folder / f"{name}.toml").write_text(tomli_w.dumps(known | {"builder": builder} | data))
