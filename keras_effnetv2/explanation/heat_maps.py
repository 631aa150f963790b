"""Class-activation maps as heat over their image, in a PNG."""

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
# Upsampled heat is smooth at this side, whatever the size of the image; pixels.
_MIN_SIDE = 384
_TITLE_WIDTH = 28  # Characters.
_COLORS = "inferno"
_MAX_OPACITY = 0.75
# Of the image in gray under the heat: without it, bright places would look hot.
_BRIGHTNESS = 0.8


def check_modules() -> None:
    """Does nothing if what draws heat maps is installed.

    Raises:
        ImportError: it is missing.
    """
    require_modules("Heat maps need", "train", "matplotlib")


def draw_heat_maps(
    image: np.ndarray, maps: np.ndarray, titles: Sequence[str], path: str | os.PathLike
) -> None:
    """Writes a PNG of the image, and of each map as heat over it, side by side.

    The colour scale is the same for all maps, and ends at the largest value.

    Args:
        image: `(height, width, 3)`, pixels 0..255; what lies outside is cut off.
        maps: `(n, rows, columns)`, not negative; each is stretched over the image.
        titles: of the image and of each map.
        path: of the PNG; an older one is replaced at once.

    Raises:
        ImportError: matplotlib is missing.
    """
    check_modules()
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    image = _enlarged(np.clip(image, 0, 255).astype("uint8"))
    scale, colors = Normalize(0, float(maps.max()) or 1.0), colormaps[_COLORS]
    panels = [image, *(_overlay(image, scale(x), colors) for x in maps)]
    figure, all_axes = _panel_grid(len(panels))
    for axes, panel, title in zip(all_axes.flat, panels, titles, strict=False):
        axes.imshow(panel)
        axes.set_title(_wrapped(title), fontsize=11, parse_math=False)
    bar = figure.colorbar(ScalarMappable(scale, colors), ax=all_axes, pad=0.01)
    bar.set_label("contribution to the logit")
    bar.outline.set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", bbox_inches="tight")


def _panel_grid(num_panels: int) -> tuple[Any, np.ndarray]:
    """A figure, and its axes `(rows, columns)` for at least so many panels."""
    from matplotlib.figure import Figure

    columns = min(_MAX_COLUMNS, num_panels)
    rows = -(-num_panels // columns)
    size = (_PANEL_INCHES * columns, _PANEL_INCHES * rows)
    figure = Figure(figsize=size, dpi=_DPI, layout="compressed")
    all_axes = figure.subplots(rows, columns, squeeze=False)
    for axes in all_axes.flat:
        axes.set_axis_off()
    return figure, all_axes


def _wrapped(title: str) -> str:
    """The title with long lines broken, or cut where they are very long."""
    return "\n".join(
        textwrap.fill(line, _TITLE_WIDTH, max_lines=3, placeholder=" ...")
        for line in title.splitlines()
    )


def _enlarged(image: np.ndarray) -> np.ndarray:
    """Small images with each pixel as a square."""
    factor = -(-_MIN_SIDE // min(image.shape[:2]))
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def _overlay(image: np.ndarray, heat: np.ndarray, colors: Any) -> np.ndarray:
    """The image in gray, under colours that cover it the more the hotter they are.

    Args:
        image: uint8 `(height, width, 3)`.
        heat: 0..1 `(rows, columns)`.
        colors: maps 0..1 to colours 0..1.

    Returns:
        0..1 `(height, width, 3)`.
    """
    height, width = image.shape[:2]
    picture = Image.fromarray(np.asarray(heat, "float32"))
    picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    heat = np.clip(np.asarray(picture), 0, 1)[..., None]
    gray = np.asarray(Image.fromarray(image).convert("L"))[..., None] / 255
    opacity = _MAX_OPACITY * np.sqrt(heat)
    return (1 - opacity) * _BRIGHTNESS * gray + opacity * colors(heat[..., 0])[..., :3]
