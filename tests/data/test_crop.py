"""Random crops: what they promise, and the law that they share with tf.image."""

import numpy as np
import pytest

from keras_nasnet.data.crop import RandomCrop

CROP = RandomCrop()


def test_random_boxes_keep_their_promises():
    generator = np.random.default_rng(0)
    for width, height in ((500, 375), (100, 300), (9, 7), (1, 1), (1000, 10)):
        for _ in range(300):
            left, top, right, bottom = CROP.box(width, height, generator)
            assert 0 <= left < right <= width
            assert 0 <= top < bottom <= height
            if (left, top, right, bottom) == (0, 0, width, height):
                continue  # where nothing fits
            assert (right - left) * (bottom - top) >= 0.1 * width * height
            # Rounded to whole pixels.
            assert 3 / 4 - 1 / (bottom - top) <= (right - left) / (bottom - top) <= 4 / 3 + 1 / (bottom - top)


def test_random_boxes_follow_the_law_of_tensorflow():
    tf = pytest.importorskip("tensorflow")

    @tf.function
    def reference(seed):
        begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
            [375, 500, 3],
            tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
            seed=tf.stack([0, seed]),
            min_object_covered=CROP.covered,
            aspect_ratio_range=CROP.aspect,
            area_range=CROP.area,
            max_attempts=CROP.attempts,
        )
        return tf.concat([begin[:2], size[:2]], 0)

    theirs = np.array([reference(tf.constant(seed)).numpy() for seed in range(2000)])
    generator = np.random.default_rng(0)
    boxes = np.array([CROP.box(500, 375, generator) for _ in range(2000)])
    ours = np.stack([boxes[:, 1], boxes[:, 0], boxes[:, 3] - boxes[:, 1], boxes[:, 2] - boxes[:, 0]], axis=1)
    error = np.sqrt((ours.var(0) + theirs.var(0)) / 2000)
    assert (np.abs(ours.mean(0) - theirs.mean(0)) < 4 * error).all(), (ours.mean(0), theirs.mean(0), error)
    np.testing.assert_allclose(ours.std(0), theirs.std(0), rtol=0.08)
