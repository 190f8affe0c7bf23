"""A colour for each class: far from each other, and always the same."""

import functools

import numpy as np

Colour = tuple[int, int, int]

COLOURS = 100  # class 100 has the colour of class 0


def class_colour(number: int) -> Colour:
    """Return the red, green and blue, 0..255, in which class `number` is drawn."""
    return _palette()[number % COLOURS]


def text_colour(background: Colour) -> Colour:
    """Return black or white, whichever is easier to read on a colour."""
    # Black is as far as white from a relative luminance of 0.18 (WCAG 2, contrast ratio).
    luminance = float(_linear(np.array(background)) @ (0.2126, 0.7152, 0.0722))
    return (0, 0, 0) if luminance > 0.18 else (255, 255, 255)


@functools.cache
def _palette() -> tuple[Colour, ...]:
    """Vivid colours of medium lightness, each as far as can be from those before it, as the eye sees distance."""
    steps = np.arange(0, 256, 17)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = _lab(grid)
    vivid = (lab[:, 0] > 35) & (lab[:, 0] < 90) & (np.hypot(lab[:, 1], lab[:, 2]) > 35)
    grid, lab = grid[vivid], lab[vivid]
    chosen: list[int] = [int(np.abs(grid - (255, 51, 51)).sum(axis=1).argmin())]
    distance = np.full(len(lab), np.inf)
    while len(chosen) < COLOURS:
        distance = np.minimum(distance, np.linalg.norm(lab - lab[chosen[-1]], axis=1))
        chosen.append(int(distance.argmax()))
    return tuple((int(red), int(green), int(blue)) for red, green, blue in grid[chosen])


def _linear(rgb: np.ndarray) -> np.ndarray:
    share = rgb / 255
    return np.where(share > 0.04045, ((share + 0.055) / 1.055) ** 2.4, share / 12.92)


def _lab(rgb: np.ndarray) -> np.ndarray:
    """Return colours in CIELAB, under the illuminant D65."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = _linear(rgb) @ to_xyz.T / to_xyz.sum(axis=1)
    root = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = root.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)
