"""Pictures of class-activation maps."""

import sys

import numpy as np
import pytest
from PIL import Image

from keras_effnetv2.explanation import heat_maps
from keras_effnetv2.explanation.heat_maps import draw_heat_maps

GRAY = np.full((64, 64, 3), 120.0)
CORNERS = np.zeros((2, 4, 4), "float32")
CORNERS[0, 0, 0], CORNERS[1, 3, 3] = 8, 2


def draw(folder, image=GRAY, maps=CORNERS, titles=("a", "b", "c")):
    draw_heat_maps(image, maps, titles, folder / "heat.png")
    with Image.open(folder / "heat.png") as picture:
        return picture  # Closed, it still says its format and size.


def panels(figure):
    """Shown images, as 0..1 `(height, width, 3)`."""
    shown = [image for axes in figure.axes for image in axes.images]
    arrays = [np.asarray(image.get_array(), "float64") for image in shown]
    return [x / 255 if x.max() > 1 else x for x in arrays]


def test_a_picture_has_the_image_and_a_panel_a_map(figures, tmp_path):
    picture = draw(tmp_path)
    assert picture.format == "PNG" and picture.width > 2.5 * picture.height
    image, *overlays = panels(figures[0])
    assert len(overlays) == 2 and image.shape == overlays[0].shape == (384, 384, 3)
    np.testing.assert_allclose(image, 120 / 255)
    assert [axes.get_title() for axes in figures[0].axes[:3]] == ["a", "b", "c"]
    assert figures[0].axes[3].get_ylim() == (0, 8)


def test_heat_covers_its_place_alone_on_one_scale_for_all(figures, tmp_path):
    draw(tmp_path)
    _, first, second = panels(figures[0])
    colour = [np.ptp(x, axis=-1) for x in (first, second)]
    assert colour[0][20, 20] > 0.2 and colour[1][-20, -20] > 0.1
    assert colour[0][-20, -20] < 0.01 and colour[1][20, 20] < 0.01
    assert first[20, 20].mean() > second[-20, -20].mean() + 0.1


def test_maps_of_nothing_leave_the_image_gray(figures, tmp_path):
    levels = np.random.default_rng(0).uniform(-20, 280, (48, 80, 1))
    draw(tmp_path, image=levels.repeat(3, axis=2), maps=np.zeros((2, 4, 4)))
    image, overlay, _ = panels(figures[0])
    assert image.min() == 0 and image.max() == 1
    np.testing.assert_allclose(overlay, 0.8 * image)


@pytest.mark.parametrize("sides", [(1, 1000), (1000, 1), (2, 70_000), (70_000, 2)])
def test_very_narrow_images_are_drawn_in_little_memory(figures, tmp_path, sides):
    picture = draw(tmp_path, image=np.full((*sides, 3), 120.0))
    image, *_ = panels(figures[0])
    assert max(image.shape) <= max(5000, *sides)
    assert max(picture.size) < 5000


@pytest.mark.parametrize("sides", [(100, 1000), (38, 380), (400, 9000), (64, 64)])
def test_ordinary_images_are_enlarged_to_a_smooth_size(sides):
    factor = heat_maps._enlargement(*sides)
    assert 384 <= factor * min(sides) < 384 + min(sides)
    assert factor == heat_maps._enlargement(*sides[::-1])


def test_many_maps_go_on_below(figures, tmp_path):
    picture = draw(tmp_path, maps=np.ones((5, 2, 2)), titles="abcdef")
    assert len(panels(figures[0])) == 6
    assert picture.height > picture.width / 2.5


def test_titles_are_wrapped_and_not_typeset(figures, tmp_path):
    long = "a name that is longer than any panel of a picture is wide\n0.5"
    draw(tmp_path, titles=("$x$ costs $\\frac", long, "x" * 300))
    first, second, third = (axes.get_title() for axes in figures[0].axes[:3])
    assert first == "$x$ costs $\\frac"
    assert second.replace("\n", " ") == long.replace("\n", " ")
    for title in (second, third):
        assert max(map(len, title.splitlines())) <= 28


def test_an_older_picture_stays_until_the_new_one_is_whole(
    figures, tmp_path, monkeypatch
):
    path = tmp_path / "heat.png"
    path.write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(OSError, match="full"):
            draw(tmp_path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
    draw(tmp_path)
    assert path.read_bytes() != b"old" and list(tmp_path.iterdir()) == [path]


def test_missing_matplotlib_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"keras_effnetv2\[train\]"):
        draw(tmp_path)
    with pytest.raises(ImportError, match="matplotlib"):
        heat_maps.check_modules()
