"""Draws class-activation maps as heat maps over their image, in a PNG."""

import os
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from keras_effnetv2.errors import require_modules
from keras_effnetv2.files import replacing

_MAX_COLUMNS = 4
_PANEL_INCHES = 3.5
_DPI = 120
# Side at which upsampled heat maps are smooth, whatever the size of the image; pixels.
_MIN_SIDE = 384
# Longest side of an enlarged image, pixels: enough for those up to ten times as long as
# wide; others would not fit into memory.
_MAX_ENLARGED = 5000
# Height by width of the places of panels: below, their titles would leave no room for
# them; above, Matplotlib would refuse the picture, of more than 2^16 pixels.
_MIN_ASPECT, _MAX_ASPECT = 1 / 6, 10.0
_TITLE_WIDTH = 28  # Characters.
_COLORS = "inferno"
_MAX_OPACITY = 0.75
# Brightness of the gray image under the heat, since bright places would look hot, and
# of what the network does not see.
_BRIGHTNESS = 0.8
_BRIGHTNESS_OUTSIDE = 0.35

# Top, left, height and width, pixels.
_Window = tuple[float, float, float, float]


def check_modules() -> None:
    """Checks that the packages that draw heat maps are installed.

    Raises:
        ImportError: a package is missing.
    """
    require_modules("Heat maps need", "train", "matplotlib")


def draw_heat_maps(
    image: np.ndarray,
    maps: np.ndarray,
    titles: Sequence[str],
    path: str | os.PathLike,
    window: _Window | None = None,
) -> None:
    """Writes a PNG of the image and of each map over it, side by side.

    All maps share one colour scale, which ends at the largest value.

    Args:
        image: `(height, width, 3)`, pixels 0..255; values outside are clipped.
        maps: `(n, rows, columns)`, non-negative; each is stretched over the window.
        titles: titles of the image and of each map.
        path: the PNG; an older one is replaced atomically.
        window: top, left, height and width of what the network sees, in pixels of the
            image; it may extend beyond the image. The rest is drawn dark. None: all.

    Raises:
        ImportError: matplotlib is missing.
    """
    check_modules()
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    factor = _enlargement(*image.shape[:2])
    top, left, rows, columns = window or (0.0, 0.0, *image.shape[:2])
    window = (factor * top, factor * left, factor * rows, factor * columns)
    image = _enlarged(np.clip(image, 0, 255).astype("uint8"), factor)
    scale, colors = Normalize(0, float(maps.max()) or 1.0), colormaps[_COLORS]
    panels = [image, *(overlay(image, scale(x), window) for x in maps)]
    figure, all_axes = _panel_grid(len(panels), image.shape[0] / image.shape[1])
    for axes, panel, title in zip(all_axes.flat, panels, titles, strict=False):
        axes.imshow(panel)
        axes.set_title(_wrapped(title), fontsize=11, parse_math=False)
    bar = figure.colorbar(ScalarMappable(scale, colors), ax=all_axes, pad=0.01)
    bar.set_label("contribution to the logit")
    bar.outline.set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", bbox_inches="tight")


def draw_images(
    images: Sequence[np.ndarray], titles: Sequence[str], path: str | os.PathLike
) -> None:
    """Writes a PNG of images side by side.

    Args:
        images: uint8 `(height, width, 3)` each, of any sizes.
        titles: title of each.
        path: the PNG; an older one is replaced atomically.

    Raises:
        ImportError: matplotlib is missing.
    """
    check_modules()
    figure, all_axes = _panel_grid(len(images), 1.0)
    for axes, image, title in zip(all_axes.flat, images, titles, strict=False):
        axes.imshow(image)
        axes.set_title(_wrapped(title), fontsize=11, parse_math=False)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", bbox_inches="tight")


def overlay(image: np.ndarray, heat: np.ndarray, window: _Window) -> np.ndarray:
    """The image in gray, under colours that are more opaque the hotter they are.

    Args:
        image: uint8 `(height, width, 3)`.
        heat: 0..1 `(rows, columns)`.
        window: position of the heat in the image.

    Returns:
        0..1 `(height, width, 3)`.

    Raises:
        ImportError: matplotlib is missing.
    """
    check_modules()
    from matplotlib import colormaps

    heat = stretched(heat, image.shape, window, outside=-1.0)[..., None]
    brightness = np.where(heat < 0, _BRIGHTNESS_OUTSIDE, _BRIGHTNESS)
    heat = np.clip(heat, 0, 1)
    gray = np.asarray(Image.fromarray(image).convert("L"))[..., None] / 255
    opacity = _MAX_OPACITY * np.sqrt(heat)
    colors = colormaps[_COLORS](heat[..., 0])[..., :3]
    return (1 - opacity) * brightness * gray + opacity * colors


def stretched(
    heat: np.ndarray, shape: tuple[int, ...], window: _Window, outside: float = 0.0
) -> np.ndarray:
    """A map `(rows, columns)` on an image of `shape`, float32 `(height, width)`.

    Args:
        heat: non-negative; values that smoothing makes negative become 0.
        shape: height and width of the image, pixels.
        window: position of the map in the image; parts beyond the image are cut off.
        outside: value outside the window.
    """
    top, left, height, width = (round(number) for number in window)
    picture = Image.fromarray(np.asarray(heat, "float32"))
    size = (max(width, 1), max(height, 1))
    inside = np.asarray(picture.resize(size, Image.Resampling.BICUBIC))
    found = np.full(shape[:2], outside, "float32")
    rows, columns = slice(max(-top, 0), None), slice(max(-left, 0), None)
    seen = inside[rows, columns]
    top, left = max(top, 0), max(left, 0)
    place = found[top : top + seen.shape[0], left : left + seen.shape[1]]
    place[:] = np.maximum(seen[: place.shape[0], : place.shape[1]], 0)
    return found


def _panel_grid(num_panels: int, aspect: float) -> tuple[Any, np.ndarray]:
    """A figure, and its axes `(rows, columns)` for at least so many panels.

    Args:
        num_panels: number of panels.
        aspect: height by width of each.
    """
    from matplotlib.figure import Figure

    aspect = min(max(aspect, _MIN_ASPECT), _MAX_ASPECT)
    columns = min(_MAX_COLUMNS, num_panels)
    rows = -(-num_panels // columns)
    size = (_PANEL_INCHES * columns, _PANEL_INCHES * aspect * rows)
    figure = Figure(figsize=size, dpi=_DPI, layout="compressed")
    all_axes = figure.subplots(rows, columns, squeeze=False)
    for axes in all_axes.flat:
        axes.set_axis_off()
    return figure, all_axes


def _wrapped(title: str) -> str:
    """The title with long lines wrapped, or truncated if they are very long."""
    return "\n".join(
        textwrap.fill(line, _TITLE_WIDTH, max_lines=3, placeholder=" ...")
        for line in title.splitlines()
    )


def _enlargement(height: int, width: int) -> int:
    """How many times an image is enlarged."""
    short, long = sorted((height, width))
    return max(1, min(-(-_MIN_SIDE // short), _MAX_ENLARGED // long))


def _enlarged(image: np.ndarray, factor: int) -> np.ndarray:
    """Small images with each pixel as a square."""
    return image.repeat(factor, axis=0).repeat(factor, axis=1)
