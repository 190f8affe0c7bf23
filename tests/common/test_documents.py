import os

import pytest

from keras_nasnet.common import limits
from keras_nasnet.common.documents import parse_json, parse_toml, parse_yaml, read_json, read_text


@pytest.mark.parametrize("deep", ["[" * 200_000, '{"a":' * 200_000])
@pytest.mark.parametrize("parse", [parse_json, parse_toml, parse_yaml])
def test_depth_is_refused_in_one_line(parse, deep):
    if parse is parse_toml:
        deep = f"a = {deep}"
    with pytest.raises(ValueError, match=r"^here: ") as error:
        parse(deep, "here")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "parse, text",
    [(parse_json, f'{{"a": {"9" * 400}}}'), (parse_toml, f"a = {'9' * 400}"), (parse_yaml, f"a: {'9' * 400}")],
)
def test_integers_over_64_bits_are_refused(parse, text):
    with pytest.raises(ValueError, match=r"here: .*an integer of"):
        parse(text, "here")


def test_yaml_aliases_count_as_what_they_stand_for():
    bomb = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
        f"{new}: &{new} [{', '.join(['*' + old] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    with pytest.raises(ValueError, match="more than 1,000,000 values"):
        parse_yaml(bomb, "params.yaml")
    assert parse_yaml("a: &a [1, 2]\nb: *a\n", "params.yaml") == {"a": [1, 2], "b": [1, 2]}


def test_yaml_builds_no_objects():
    with pytest.raises(ValueError, match="not YAML"):
        parse_yaml("!!python/object/apply:os.getcwd []", "params.yaml")


def test_a_file_that_is_none_is_refused_at_once(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "latin").write_bytes(b"\xe4")
    (tmp_path / "mark.json").write_bytes(b"\xef\xbb\xbf[1]")
    (tmp_path / "large").write_text("12345")
    for name, message in {"pipe": "a pipe", "": "a folder", "none": "no such file", "latin": "UTF-8"}.items():
        with pytest.raises(ValueError, match=message):
            read_text(tmp_path / name)
    assert read_json(tmp_path / "mark.json") == [1]
    monkeypatch.setattr(limits, "DOCUMENT_BYTES", 4)
    with pytest.raises(ValueError, match="5 bytes are more than the 4"):
        read_text(tmp_path / "large")
