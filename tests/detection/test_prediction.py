"""Detection on files: boxes in pixels of the images, order, broken files, pictures, memory."""

import threading

import numpy as np
import pytest
from PIL import Image

from keras_nasnet.common.images import read_image
from keras_nasnet.detection import prediction
from keras_nasnet.detection.prediction import list_images, predict_files
from tests.support.bright_squares import BrightSquares

DARK, WHITE, RED = (20, 30, 40), (250, 250, 250), (230, 20, 30)


def photograph(size=(320, 240), white=(40, 60, 160, 120), red=None):
    image = Image.new("RGB", size, DARK)
    image.paste(WHITE, white)
    if red:
        image.paste(RED, red)
    return image


def found_on(path, **options):
    (result,) = predict_files(BrightSquares(), [path], **options)
    return result


def names(paths, **options):
    return [image.path.name for image in list_images(paths, **options)]


@pytest.fixture
def frames(tmp_path):
    """Twelve frames, whose white square is at their number."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(1, 13):
        photograph((64, 64), (number, 10, number + 30, 40)).save(folder / f"frame_{number}.png")
    return folder


# === Boxes ===


@pytest.mark.parametrize("size", [(320, 240), (1000, 120), (90, 700), (256, 256), (30, 20)])
def test_boxes_are_in_pixels_of_the_image(tmp_path, size):
    width, height = size
    white = (width // 8, height // 4, width // 2, height * 3 // 4)
    photograph(size, white).save(tmp_path / "image.png")
    result = found_on(tmp_path / "image.png")
    assert result.size == size
    assert len(result.detections) == 1
    # The detector sees whole pixels of its input.
    np.testing.assert_allclose(result.detections.boxes[0], white, atol=1 + max(size) / 256)


def test_two_classes_and_the_threshold(tmp_path):
    photograph(red=(200, 100, 280, 200)).save(tmp_path / "image.png")
    detections = found_on(tmp_path / "image.png", threshold=0.3).detections
    assert detections.labels() == ["white 0.70", "red 0.40"]
    np.testing.assert_allclose(detections.boxes, [[40, 60, 160, 120], [200, 100, 280, 200]], atol=2)
    assert found_on(tmp_path / "image.png").detections.labels() == ["white 0.70"]
    assert found_on(tmp_path / "image.png", threshold=0.3, top=1).detections.labels() == ["white 0.70"]
    assert len(found_on(tmp_path / "image.png", threshold=0.8).detections) == 0


def test_grey(tmp_path):
    photograph().convert("L").save(tmp_path / "grey.png")
    np.testing.assert_allclose(found_on(tmp_path / "grey.png").detections.boxes, [[40, 60, 160, 120]], atol=2)


def test_what_is_transparent_is_white(tmp_path):
    image = photograph().convert("RGBA")
    image.putpixel((0, 0), (0, 0, 0, 0))
    image.paste((0, 0, 0, 0), (40, 60, 160, 120))
    image.putpixel((0, 0), (*DARK, 255))
    image.save(tmp_path / "clear.png")
    np.testing.assert_allclose(found_on(tmp_path / "clear.png").detections.boxes, [[40, 60, 160, 120]], atol=2)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_boxes_and_pictures_are_of_the_upright_image(tmp_path, orientation):
    undo = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    exif = Image.Exif()
    exif[0x0112] = orientation
    photograph().transpose(undo[orientation]).save(tmp_path / "image.png", exif=exif)
    result = found_on(tmp_path / "image.png", draw_folder=tmp_path / "drawn")
    assert result.size == (320, 240)
    np.testing.assert_allclose(result.detections.boxes, [[40, 60, 160, 120]], atol=2)
    with Image.open(result.drawn) as drawn:
        assert drawn.size == (320, 240)
        assert drawn.getexif().get(0x0112, 1) == 1


# === Files ===


def test_numbers_in_names_are_in_their_order(frames, tmp_path):
    assert names([frames]) == [f"frame_{number}.png" for number in range(1, 13)]
    results = list(predict_files(BrightSquares(), [frames], batch=5))
    lefts = [result.detections.boxes[0, 0] for result in results]
    np.testing.assert_allclose(lefts, range(1, 13), atol=0.5)
    for name in ("shot10/2.png", "shot9/10.png", "shot9/9.png", "shot9/09.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        photograph().save(tmp_path / name)
    below = [str(image.path.relative_to(tmp_path)) for image in list_images([tmp_path]) if "shot" in str(image.path)]
    assert below == ["shot9/09.png", "shot9/9.png", "shot9/10.png", "shot10/2.png"]


def test_images_are_in_the_order_in_which_they_are_given(tmp_path, frames):
    photograph().save(tmp_path / "z.png")
    photograph().save(tmp_path / "a.png")
    given = [tmp_path / "z.png", frames, tmp_path / "a.png", tmp_path / "z.png"]
    assert names(given) == ["z.png", *(f"frame_{number}.png" for number in range(1, 13)), "a.png"]


def test_broken_files_are_named_and_the_others_done(frames):
    (frames / "frame_3.png").write_bytes(b"")
    (frames / "frame_7.png").write_text("no image")
    for name in ("frame_8.png", "frame_9.png"):
        content = (frames / name).read_bytes()
        (frames / name).write_bytes(content[: len(content) // 2])
    model = BrightSquares()
    results = list(predict_files(model, [frames], batch=3, draw_folder=frames.parent / "drawn"))
    assert len(results) == 12
    broken = [result for result in results if isinstance(result.detections, ValueError)]
    assert [result.path.name for result in broken] == ["frame_3.png", "frame_7.png", "frame_8.png", "frame_9.png"]
    for result in broken:
        assert str(result.detections).startswith(f"{result.path}: ")
        assert (result.size, result.drawn) == ((0, 0), None)
    assert model.batches == [2, 3, 3]  # of the third batch, nothing is left
    assert len(list((frames.parent / "drawn").iterdir())) == 8
    whole = [result.detections for result in results if result not in broken]
    np.testing.assert_allclose([one.boxes[0, 0] for one in whole], [1, 2, 4, 5, 6, 10, 11, 12], atol=0.5)


def test_bad_paths_and_options_are_refused_at_once(tmp_path):
    photograph().save(tmp_path / "image.png")
    (tmp_path / "empty").mkdir()
    for paths, options, message in (
        ([tmp_path / "nowhere.png"], {}, r"nowhere\.png: no such file or folder"),
        ([tmp_path / "empty"], {}, r"empty: no images in this folder \(JPEG"),
        ([tmp_path], {"threshold": 1.5}, "threshold is 1.5"),
        ([tmp_path], {"top": 0}, "top is 0"),
        ([tmp_path], {"batch": 0}, "batch is 0"),
    ):
        with pytest.raises(ValueError, match=message):
            predict_files(BrightSquares(), paths, **options)


# === Pictures ===


def test_pictures_show_the_boxes(tmp_path):
    from keras_nasnet.detection.palette import class_colour

    photograph().save(tmp_path / "image.png")
    result = found_on(tmp_path / "image.png", draw_folder=tmp_path / "new" / "drawn")
    assert result.drawn == tmp_path / "new" / "drawn" / "image.jpg"
    assert [file.name for file in result.drawn.parent.iterdir()] == ["image.jpg"]
    with Image.open(result.drawn) as picture:
        assert picture.format == "JPEG"
        label = np.asarray(picture)[46:57, 40:90].reshape(-1, 3).astype(int)  # it stands on the box
    assert (np.abs(label - class_colour(0)).max(axis=1) < 60).mean() > 0.4


def test_pictures_keep_folders_and_where_names_clash_their_endings(tmp_path):
    for name in ("in/a/1.png", "in/b/1.png", "in/b/2.png", "in/b/2.jpg", "in/b/2.JPG", "other/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        photograph().save(tmp_path / name)
    found = list_images([tmp_path / "in", tmp_path / "in" / "a" / "1.png", tmp_path / "other" / "1.png"])
    pictures = {
        image.path.relative_to(tmp_path).as_posix(): image.picture.relative_to(".").as_posix() for image in found
    }
    assert pictures == {
        "in/a/1.png": "a/1.jpg",
        "in/b/1.png": "b/1.jpg",
        "in/b/2.png": "b/2.png.jpg",
        "in/b/2.JPG": "b/2.JPG.jpg",
        "in/b/2.jpg": "b/2.jpg-2.jpg",
        "other/1.png": "1.jpg",
    }
    one, two = list_images([tmp_path / "in" / "a" / "1.png", tmp_path / "in" / "b" / "1.png"])
    assert (str(one.picture), str(two.picture)) == ("1.png.jpg", "1.png-2.jpg")
    results = list(predict_files(BrightSquares(), [tmp_path / "in"], draw_folder=tmp_path / "drawn"))
    assert len({result.drawn for result in results}) == 5
    assert all(result.drawn.exists() for result in results)


def test_an_image_is_never_overwritten(tmp_path):
    photograph().save(tmp_path / "image.jpg")
    before = (tmp_path / "image.jpg").read_bytes()
    for paths in ([tmp_path], [tmp_path / "image.jpg"]):
        with pytest.raises(ValueError, match=r"image\.jpg would be overwritten"):
            predict_files(BrightSquares(), paths, draw_folder=tmp_path)
    assert (tmp_path / "image.jpg").read_bytes() == before


def test_pictures_of_an_earlier_run_are_not_taken_for_images(frames):
    drawn = frames / "drawn"
    for _ in range(2):
        assert len(list(predict_files(BrightSquares(), [frames], draw_folder=drawn))) == 12
    assert len(list(drawn.iterdir())) == 12


def test_a_picture_that_cannot_be_written_leaves_no_rest(tmp_path):
    photograph().save(tmp_path / "image.png")
    (tmp_path / "drawn" / "image.jpg").mkdir(parents=True)
    with pytest.raises(OSError, match=r"image\.jpg"):
        found_on(tmp_path / "image.png", draw_folder=tmp_path / "drawn")
    assert [file.name for file in (tmp_path / "drawn").iterdir()] == ["image.jpg"]


# === Memory and Time ===


def test_at_most_two_batches_are_read(frames):
    """What is broken after the first batch was found, the second being read, is seen as broken."""
    results = predict_files(BrightSquares(), [frames], batch=2)
    first = next(results)
    for number in range(5, 13):
        (frames / f"frame_{number}.png").write_text("no longer an image")
    rest = list(results)
    assert not isinstance(first.detections, ValueError)
    assert [isinstance(result.detections, ValueError) for result in rest] == [False] * 3 + [True] * 8


def test_the_next_batch_is_read_while_the_model_computes(tmp_path, monkeypatch):
    """The model's work on the first image does not end before the second one is read."""
    for name in ("first.png", "second.png"):
        photograph().save(tmp_path / name)
    second_is_read = threading.Event()

    def watched(path, *arguments, **options):
        image = read_image(path, *arguments, **options)
        if path.name == "second.png":
            second_is_read.set()
        return image

    class Waiting(BrightSquares):
        def predict(self, images):
            if not self.batches:
                assert second_is_read.wait(20), "nothing is read while the model computes"
            return super().predict(images)

    monkeypatch.setattr(prediction, "read_image", watched)
    both = list(predict_files(Waiting(), [tmp_path / "first.png", tmp_path / "second.png"], batch=1))
    np.testing.assert_array_equal(both[0].detections.boxes, both[1].detections.boxes)


def test_stopping_early_stops_the_reading(frames):
    results = predict_files(BrightSquares(), [frames], batch=1)
    next(results)
    results.close()
    with pytest.raises(StopIteration):
        next(results)


def test_large_images_make_small_batches(tmp_path, monkeypatch):
    """So that a batch takes no more memory than it may."""
    for number in range(5):
        Image.new("RGB", (40, 30)).save(tmp_path / f"{number}.png")
    (tmp_path / "5.png").write_bytes(b"no image")
    monkeypatch.setattr(prediction, "BATCH_PIXELS", 2 * 40 * 30)
    sizes = []

    class Noted(BrightSquares):
        def predict(self, images):
            sizes.append(len(images))
            return super().predict(images)

    paths = [tmp_path / f"{number}.png" for number in range(6)]
    assert [result.size[0] for result in predict_files(Noted(), paths)] == [40] * 5 + [0]
    assert sizes == [2, 2, 1]


def test_folders_with_junk_links_and_loops(tmp_path):
    for name in ("a/1.jfif", "a/2", "store/3.png", "a/@eaDir/4.jpg", "a/._5.jpg", "__MACOSX/6.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        photograph().save(tmp_path / name, "JPEG")
    (tmp_path / "a" / "linked").symlink_to(tmp_path / "store")
    (tmp_path / "a" / "loop").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "notes.txt").write_text("x")
    said = []
    found = list_images([tmp_path / "a"], say=said.append)
    assert [str(image.picture) for image in found] == ["1.jpg", "2.jpg", "linked/3.jpg"]
    assert said == [
        f"{tmp_path / 'a'}: left out loop: a link to a folder that is taken already",
        f"{tmp_path / 'a'}: left out notes.txt: no image",
    ]
