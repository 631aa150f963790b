"""A sweep suggests the rate at which the loss falls fastest, where it clearly falls."""

import numpy as np
import pytest
from PIL import Image

from keras_effnetv2.errors import InputError
from keras_effnetv2.training.reporting import rate_sweep
from keras_effnetv2.training.reporting.rate_sweep import RateSweep

RATES = np.geomspace(1e-5, 1e-1, 41)


def sweep(losses, num=None):
    return RateSweep(tuple(RATES[:num].tolist()), tuple(losses[:num].tolist()))


def valley(noise=0.0):
    """Falls around 1e-3, fastest there, is lowest at about 1e-2 and then grows."""
    x = np.log10(RATES)
    losses = 2 - 1 / (1 + np.exp(-6 * (x + 3))) + 3 * np.maximum(0, x + 2) ** 2
    return losses + np.random.default_rng(0).normal(0, noise, len(x))


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_it_is_where_the_loss_falls_fastest(noise):
    rate, why = sweep(valley(noise)).suggest()
    assert 5e-4 < rate < 2e-3
    assert float(f"{rate:.2g}") == rate
    assert "falls fastest" in why and "41 steps" in why


def test_nothing_is_suggested_where_nothing_can_be_seen():
    noise = np.random.default_rng(1).normal(2, 0.3, len(RATES))
    growing = np.linspace(1, 4, len(RATES)) ** 2
    for losses in (noise, growing, np.ones(len(RATES))):
        rate, why = sweep(losses).suggest()
        assert rate is None and "falls clearly at no rate" in why
    rate, why = sweep(valley(), num=5).suggest()
    assert rate is None and why == "5 steps are too few to tell"
    assert RateSweep((), ()).suggest()[0] is None


def test_it_comes_back_from_its_file(tmp_path):
    path = tmp_path / "learning_rates.json"
    assert rate_sweep.read_sweep(path) is None
    sweep(valley()).write(path)
    assert rate_sweep.read_sweep(path) == sweep(valley())
    path.write_text('{"rates": [1]}')
    with pytest.raises(InputError, match="is damaged"):
        rate_sweep.read_sweep(path)


def test_the_picture_says_what_is_taken(tmp_path):
    figure = rate_sweep.rates_figure(sweep(valley()))
    texts = [x.get_text() for x in figure.axes[0].get_legend().get_texts()]
    assert texts[:2] == ["a step", "smoothed"] and texts[2].startswith("taken: 0.0")
    rate_sweep.draw_rates(sweep(valley()), tmp_path / "rates.png", "flowers")
    with Image.open(tmp_path / "rates.png") as image:
        assert image.format == "PNG" and min(image.size) > 300
