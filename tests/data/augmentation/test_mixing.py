"""Mixed labels say what mixed images show."""

import numpy as np
import pytest
import tensorflow as tf

from keras_effnetv2.data.augmentation.mixing import Mixing

KINDS = {
    "mixup": Mixing(mixup_alpha=0.4),
    "cutmix": Mixing(cutmix_alpha=1.0),
    "both": Mixing(0.5, 0.5),
}


def batch(num, side=32, dtype="f4"):
    """Image i has i everywhere and is of class i."""
    images = np.ones((num, side, side, 3)) * np.arange(num)[:, None, None, None]
    return images.astype(dtype), np.eye(num, dtype="f4")


def shares_of_neighbour(labels):
    """Of each label, the share of the class before it."""
    num = len(labels)
    return labels[np.arange(num), np.arange(num) - 1]


@pytest.mark.parametrize("num", [1, 2, 3, 7, 16])
@pytest.mark.parametrize("name", KINDS)
def test_label_mass_stays_1_and_labels_fit_images(name, num):
    images, labels = batch(num)
    for number in range(5):
        mixed, mixed_labels = KINDS[name].apply(images, labels, (number, 1))
        assert mixed.shape == images.shape and mixed.dtype == tf.float32
        np.testing.assert_allclose(tf.reduce_sum(mixed_labels, 1), 1, atol=1e-6)
        # The mean pixel is the mean class, as pixels are class numbers.
        expected = mixed_labels.numpy() @ np.arange(num)
        found = mixed.numpy().mean((1, 2, 3))
        np.testing.assert_allclose(found, expected, atol=1e-5 * num)


def test_each_label_has_the_share_of_its_own_rectangle():
    # google/automl gives all images of the batch the mean share.
    images, labels = batch(16)
    mixed, mixed_labels = KINDS["cutmix"].apply(images, labels, (5, 6))
    shares = shares_of_neighbour(mixed_labels.numpy())
    own = (mixed.numpy()[..., 0] != images[..., 0]).mean((1, 2))
    np.testing.assert_allclose(shares, own, atol=1e-6)
    assert len(set(shares.round(3))) > 8


def test_cutmix_takes_a_rectangle_of_the_image_before():
    images, labels = batch(12)
    mixed = KINDS["cutmix"].apply(images, labels, (1, 2))[0].numpy()[..., 0]
    num_rectangles = 0
    for index, image in enumerate(mixed):
        rows, columns = np.nonzero(image != index)
        if not len(rows):
            continue
        num_rectangles += 1
        inside = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert (inside == (index - 1) % 12).all()
        assert inside.size == len(rows)
    assert num_rectangles > 6


def test_rectangles_have_the_area_that_beta_1_and_the_border_leave():
    images, labels = batch(4000, side=24, dtype="u1")
    labels = np.zeros((4000, 2), "f4")
    labels[::2, 0] = labels[1::2, 1] = 1
    _, mixed = KINDS["cutmix"].apply(images[..., :1], labels, (3, 3))
    shares = 1 - (mixed.numpy() * labels).sum(1)
    # A side of ratio r with its centre anywhere shows r - r**2 / 4 of it; r**2 is
    # uniform: 1/2 - 1/5 + 1/48. Sides lose up to 2 of 24 pixels to whole halves.
    expected = 1 / 2 - 1 / 5 + 1 / 48
    assert expected - 0.04 < shares.mean() < expected + 0.01


def test_mixup_keeps_the_larger_share():
    images, labels = batch(16)
    shares = [
        shares_of_neighbour(KINDS["mixup"].apply(images, labels, (n, 0))[1].numpy())
        for n in range(50)
    ]
    assert np.max(shares) <= 0.5
    assert len(set(shares[0])) > 8
    draws = np.random.default_rng(0).beta(0.4, 0.4, 100_000)
    expected = np.minimum(draws, 1 - draws).mean()
    assert np.mean(shares) == pytest.approx(expected, abs=5 * 0.17 / np.sqrt(800))


def test_when_both_are_on_every_other_image_is_mixups():
    images, labels = batch(15)
    mixed = KINDS["both"].apply(images, labels, (2, 1))[0].numpy()
    for index, image in enumerate(mixed):
        if index % 2 == 0:
            assert np.ptp(image) <= 1e-6
        else:
            assert set(np.unique(image)) <= {index - 1, index}


def test_uint8_pixels_are_rounded_and_keep_their_type():
    images, labels = batch(9, dtype="u1")
    for mixing in KINDS.values():
        mixed, mixed_labels = mixing.apply(images, labels, (4, 4))
        assert mixed.dtype == tf.uint8
        exact, same_labels = mixing.apply(images.astype("f4"), labels, (4, 4))
        np.testing.assert_array_equal(mixed, np.round(exact))
        np.testing.assert_array_equal(mixed_labels, same_labels)


@pytest.mark.parametrize("zero", [0, 0.0, tf.constant(0.0), tf.Variable(0.0)])
def test_alpha_0_switches_off(zero):
    images, labels = batch(5)
    same, same_labels = Mixing(zero, zero).apply(images, labels, (1, 2))
    np.testing.assert_array_equal(same, images)
    np.testing.assert_array_equal(same_labels, labels)
    for half_on, name in ((Mixing(0.4, zero), "mixup"), (Mixing(zero, 1.0), "cutmix")):
        found = half_on.apply(images, labels, (1, 2))
        expected = KINDS[name].apply(images, labels, (1, 2))
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize("alpha", [1e-6, 1e-3, 0.05])
def test_the_small_alphas_of_early_stages_are_finite(alpha):
    images, labels = batch(64)
    mixed, mixed_labels = Mixing(alpha, alpha).apply(images, labels, (1, 2))
    assert np.isfinite(mixed).all() and np.isfinite(mixed_labels).all()


def test_alphas_change_without_a_retrace():
    images, labels = batch(6)
    alphas = [tf.Variable(0.0), tf.Variable(0.0)]
    num_traces = 0

    @tf.function
    def mix():
        nonlocal num_traces
        num_traces += 1
        return Mixing(*alphas).apply(images, labels, (7, 7))

    for values in ((0.0, 0.0), (0.2, 0.2), (0.5, 0.0)):
        for alpha, value in zip(alphas, values, strict=True):
            alpha.assign(value)
        expected = Mixing(*values).apply(images, labels, (7, 7))
        for ours, theirs in zip(mix(), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert num_traces == 1


@pytest.mark.parametrize("name", KINDS)
def test_it_works_in_a_dataset_with_a_smaller_last_batch(name):
    images, labels = batch(7, side=8, dtype="u1")
    dataset = tf.data.Dataset.from_tensor_slices((images, labels)).batch(3)
    dataset = dataset.map(lambda x, y: KINDS[name].apply(x, y, (1, 2)))
    assert dataset.element_spec[0] == tf.TensorSpec((None, 8, 8, 3), tf.uint8)
    assert dataset.element_spec[1] == tf.TensorSpec((None, 7), tf.float32)
    for index, found in enumerate(dataset.as_numpy_iterator()):
        part = slice(3 * index, 3 * index + 3)
        expected = KINDS[name].apply(images[part], labels[part], (1, 2))
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize("name", KINDS)
def test_parts_of_a_batch_are_mixed_as_the_whole(name):
    images, labels = batch(9, dtype="u1")
    whole = KINDS[name].apply(images, labels, (5, 2))
    for first, num in ((0, 3), (3, 3), (6, 3), (4, 5)):
        rows = np.arange(first - 1, first + num)
        part = KINDS[name].apply_part(
            images[rows], labels[rows], (5, 2), first_row=first, batch_size=9
        )
        for ours, expected in zip(part, whole, strict=True):
            np.testing.assert_array_equal(ours, expected[first : first + num])


def test_mixing_is_off_where_nothing_can_switch_it_on():
    assert Mixing().is_off and Mixing(0, 0.0).is_off
    assert not Mixing(0.1).is_off and not Mixing(0, 0.1).is_off
    assert not Mixing(tf.Variable(0.0)).is_off


@pytest.mark.parametrize("alpha", [-0.1, float("nan"), float("inf")])
def test_bad_alphas_are_refused(alpha):
    with pytest.raises(ValueError, match=f"mixup_alpha={alpha}"):
        Mixing(mixup_alpha=alpha)
    with pytest.raises(ValueError, match=f"cutmix_alpha={alpha}"):
        Mixing(cutmix_alpha=alpha)


def test_bad_batches_are_refused():
    images, labels = batch(4)
    with pytest.raises(ValueError, match=r"images must be.*\(32, 32, 3\)"):
        KINDS["both"].apply(images[0], labels, (1, 2))
    with pytest.raises(ValueError, match=r"tf.one_hot"):
        KINDS["both"].apply(images, np.arange(4), (1, 2))
    with pytest.raises(ValueError, match="two integers"):
        KINDS["both"].apply(images, labels, 1)
