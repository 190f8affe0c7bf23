"""The one walk through folders of images: what is an image, junk, links, loops, and what was left out."""

import os
import socket
from pathlib import Path

import pytest
from PIL import Image

from keras_nasnet.common import limits
from keras_nasnet.common.image_folders import (
    LeftOut,
    find_images,
    has_image,
    is_junk,
    list_images,
    subfolders,
    user_path,
)


def fill(folder, *names, **options):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), "red").save(folder / name, **options)


def found(folder):
    return [os.fspath(path.relative_to(folder)) for path in list_images(folder).images]


# === What is an image ===


def test_the_content_decides_whatever_the_name(tmp_path):
    formats = {"JPEG": ("a.jfif", "b.jpe", "c.JPG", "d", "e.dat"), "PNG": ("f",), "TIFF": ("g.tif", "h.bin")}
    formats |= {"WEBP": ("i.x",), "BMP": ("j.tmp",), "GIF": ("k.0",), "AVIF": ("l.avif", "m")}
    for format, names in formats.items():
        fill(tmp_path, *names, format=format)
    assert found(tmp_path) == sorted(name for names in formats.values() for name in names)
    assert list_images(tmp_path).problems() == []


def test_what_is_no_image_is_counted_and_the_first_are_named(tmp_path):
    fill(tmp_path, "1.jpg", "below/2.jpg")
    for name in ("notes.txt", "b.xmp", "c.mp4", "below/d.json"):
        (tmp_path / name).write_text("text")
    listing = list_images(tmp_path)
    assert len(listing.images) == 2
    assert listing.problems() == [f"{tmp_path}: left out 4 (b.xmp, below/d.json, c.mp4 and 1 more): no image"]
    (tmp_path / "notes.txt").unlink()
    (tmp_path / "b.xmp").unlink()
    (tmp_path / "c.mp4").unlink()
    assert list_images(tmp_path).problems() == [f"{tmp_path}: left out below/d.json: no image"]


def test_a_damaged_file_that_is_called_like_an_image_is_for_its_reader_to_name(tmp_path):
    (tmp_path / "1.jpg").write_bytes(b"")
    (tmp_path / "2.HEIC").write_bytes(b"x")
    assert found(tmp_path) == ["1.jpg", "2.HEIC"]


def test_files_are_taken_as_they_are_given(tmp_path):
    (tmp_path / "notes.txt").write_text("text")
    assert find_images(tmp_path / "notes.txt").images == [tmp_path / "notes.txt"]


def test_images_are_in_order_of_their_paths(tmp_path):
    fill(tmp_path, "b/1.png", "a/2.png", "a/1.png", "c.png", "a.png", "a/b/0.png")
    paths = list_images(tmp_path).images
    assert paths == sorted(paths) and len(paths) == 6


# === Junk ===


@pytest.mark.parametrize(
    "name",
    ["__MACOSX", "__macosx", "@eaDir", "$RECYCLE.BIN", "lost+found", ".git", "#recycle", "System Volume Information"],
)
def test_folders_of_systems_are_never_looked_into(tmp_path, name):
    fill(tmp_path, "1.jpg", f"{name}/2.jpg", f"class/{name}/3.jpg", f"{name}/blue/4.jpg", "class/5.jpg")
    listing = list_images(tmp_path)
    assert found(tmp_path) == ["1.jpg", "class/5.jpg"]
    assert (listing.folders, listing.left_out, listing.hidden) == (["class"], [], 2)
    assert subfolders(tmp_path) == ["class"]


@pytest.mark.parametrize("name", ("._1.jpg", ".DS_Store", "Thumbs.db", "thumbs.db", "desktop.ini", "Desktop.ini"))
def test_files_of_systems_are_never_images(tmp_path, name):
    fill(tmp_path, "1.jpg")
    fill(tmp_path, name, format="JPEG")
    listing = list_images(tmp_path)
    assert ([path.name for path in listing.images], listing.left_out) == (["1.jpg"], [])


def test_names_that_only_look_like_junk(tmp_path):
    fill(tmp_path, "lost+found cats/1.jpg", "thumbs.jpg", "@home/2.jpg")
    assert found(tmp_path) == ["@home/2.jpg", "lost+found cats/1.jpg", "thumbs.jpg"]
    assert not is_junk("recycle")


# === Links ===


def test_links_to_files_and_folders_are_followed(tmp_path):
    fill(tmp_path / "store", "a/1.jpg", "a/2.jpg", "3.jpg")
    place = tmp_path / "place"
    (place / "own").mkdir(parents=True)
    (place / "linked").symlink_to(tmp_path / "store" / "a")
    (place / "own" / "more").symlink_to(Path("..", "..", "store"))
    (place / "own" / "one.jpg").symlink_to(tmp_path / "store" / "3.jpg")
    # store/a is reached by the first link, and so no more by the second.
    assert found(place) == ["linked/1.jpg", "linked/2.jpg", "own/more/3.jpg", "own/one.jpg"]
    assert list_images(place).left_out == [
        LeftOut(place / "own" / "more" / "a", "a link to a folder that is taken already")
    ]


def test_loops_end_and_are_named(tmp_path):
    fill(tmp_path, "data/blue/1.jpg", "data/red/2.jpg")
    (tmp_path / "data" / "blue" / "again").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "red" / "up").symlink_to(tmp_path)
    (tmp_path / "data" / "red" / "here").symlink_to(".")
    assert found(tmp_path / "data") == ["blue/1.jpg", "red/2.jpg"]
    (line,) = list_images(tmp_path / "data").problems()
    assert "left out 3 (blue/again, red/here, red/up): a link to a folder that is taken already" in line


def test_a_folder_is_taken_where_it_lies_not_where_a_link_leads_to_it(tmp_path):
    fill(tmp_path, "z/1.jpg")
    (tmp_path / "a").symlink_to("z")
    assert found(tmp_path) == ["z/1.jpg"]
    assert list_images(tmp_path).folders == ["z"]


def test_a_link_as_the_folder_itself(tmp_path):
    fill(tmp_path, "store/1.jpg")
    (tmp_path / "link").symlink_to("store")
    assert found(tmp_path / "link") == ["1.jpg"]


def test_links_to_nothing_are_named(tmp_path):
    fill(tmp_path, "1.jpg")
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    (tmp_path / "self.jpg").symlink_to("self.jpg")
    assert found(tmp_path) == ["1.jpg"]
    assert [one.path.name for one in list_images(tmp_path).left_out] == ["gone.jpg", "self.jpg"]


# === What cannot be read ===


def test_pipes_and_sockets_are_named_and_not_opened(tmp_path):
    fill(tmp_path, "1.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as end:
        here = os.getcwd()
        os.chdir(tmp_path)  # the path of a socket is short
        try:
            end.bind("socket.png")
        finally:
            os.chdir(here)
        (line,) = list_images(tmp_path).problems()
    assert line == f"{tmp_path}: left out 3 (pipe, pipe.jpg, socket.png): a pipe or a device"


def test_a_folder_that_cannot_be_listed_is_named(tmp_path):
    """A path that is longer than the system lets a program write, as it is for anybody, also for root."""
    fill(tmp_path, "1.jpg")
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("n" * 250, dir_fd=folder)
        below = os.open("n" * 250, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(folder)
    listing = list_images(tmp_path)
    assert len(listing.images) == 1
    (one,) = listing.left_out
    assert one.reason == "cannot be listed (File name too long)"


def test_folders_within_each_other_end_at_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "FOLDER_DEPTH", 3)
    fill(tmp_path, "a/b/c/1.jpg", "a/b/c/d/2.jpg")
    assert found(tmp_path) == ["a/b/c/1.jpg"]
    (line,) = list_images(tmp_path).problems()
    assert line == f"{tmp_path}: left out a/b/c/d: more than 3 folders within each other"


def test_refusals(tmp_path):
    def refusal(path):
        with pytest.raises(ValueError) as error:
            find_images(path)
        return str(error.value)

    assert refusal("") == "a path is empty: give a file or a folder"
    assert refusal(tmp_path / "nowhere") == f"{tmp_path / 'nowhere'}: no such file or folder"
    assert refusal(tmp_path).startswith(f"{tmp_path}: no images in this folder (JPEG, PNG")
    assert refusal(tmp_path).endswith("HEIC)")
    (tmp_path / "a.pdf").write_text("x")
    (tmp_path / ".DS_Store").write_text("x")
    assert refusal(tmp_path).endswith(" (left out a.pdf: no image; 1 hidden or of the system)")
    assert refusal("n" * 5000).endswith("cannot be read (File name too long)")
    assert refusal("a\0b") == "a\\x00b: a path cannot hold a zero byte"
    (tmp_path / "loop").symlink_to("loop")
    assert refusal(tmp_path / "loop").endswith("cannot be read (Too many levels of symbolic links)")
    assert user_path("~nosuchuser/photos") == Path("~nosuchuser/photos")
    assert user_path("~") == Path.home()
    with pytest.raises(ValueError, match="no such folder"):
        list_images(tmp_path / "nowhere")


def test_names_that_are_no_text_are_walked_and_escaped(tmp_path):
    place = os.fsencode(tmp_path)
    for name in (b"caf\xe9.txt", b"new\nline.txt", b"\x1b[31mred.txt"):
        Path(os.fsdecode(place + b"/" + name)).write_text("x")
    fill(tmp_path, os.fsdecode(b"caf\xe9.png"))
    listing = list_images(tmp_path)
    assert [os.fsencode(path.name) for path in listing.images] == [b"caf\xe9.png"]
    (line,) = listing.problems()
    assert line.isprintable()
    line.encode()  # no lone surrogates


# === Looking for one ===


def test_whether_there_is_an_image(tmp_path):
    fill(tmp_path, "a/b/1", format="PNG")
    (tmp_path / "a" / "2.txt").write_text("x")
    assert has_image(tmp_path) and has_image(tmp_path / "a")
    assert not has_image(tmp_path / "a", direct=True)
    assert has_image(tmp_path / "a" / "b", direct=True)
