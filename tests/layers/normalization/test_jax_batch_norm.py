"""Written gradients of batch norm and its neighbours against those that JAX derives."""

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="needs jax")
jnp = jax.numpy

from keras_effnetv2.layers.normalization import jax_batch_norm  # noqa: E402  It imports JAX.

EPSILON = 1e-3
BATCH, SIDE, CHANNELS, FILTERS = 5, 6, 4, 12


def normal(seed, *shape, mean=0.0):
    values = np.random.default_rng(seed).normal(mean, 1.0, shape)
    return jnp.asarray(values, "float32")


def plain_norm(x, gamma, beta):
    """Batch norm as its definition has it."""
    axes = tuple(range(x.ndim - 1))
    values = x.astype("float32")
    mean, variance = jnp.mean(values, axes), jnp.var(values, axes)
    y = gamma * (values - mean) / jnp.sqrt(variance + EPSILON) + beta
    return y.astype(x.dtype), mean, variance


def gates_of(means, weights):
    first, second = (weight.astype(means.dtype) for weight in weights)
    return jax.nn.sigmoid(jax.nn.silu(means @ first) @ second)


def plain(kind, x, gamma, beta, *others):
    if kind == "expand":
        (kernel,) = others
        dimensions = ("NHWC", "HWIO", "NHWC")
        x = jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "VALID", dimension_numbers=dimensions
        )
    y, mean, variance = plain_norm(x, gamma, beta)
    if kind != "norm":
        y = jax.nn.silu(y)
    if kind == "gated":
        y *= gates_of(jnp.mean(y, (1, 2), keepdims=True), others)
    return y, mean, variance


def written(kind, x, gamma, beta, *others):
    center = jnp.full(gamma.shape, 0.5)
    if kind == "expand":
        return jax_batch_norm.expand(x, *others, gamma, beta, center, EPSILON)
    if kind == "gated":
        return jax_batch_norm.normalize_and_gate(
            x, gamma, beta, center, others, gates_of, EPSILON
        )
    is_activated = kind == "activated"
    return jax_batch_norm.normalize(x, gamma, beta, center, EPSILON, is_activated)


def arguments(kind, dtype):
    """Images of a mean that is not 0, scales, offsets, and weights."""
    x = normal(0, BATCH, SIDE, SIDE, CHANNELS, mean=2.0).astype(dtype)
    size = FILTERS if kind == "expand" else CHANNELS
    others = ()
    if kind == "expand":
        others = (normal(1, 1, 1, CHANNELS, FILTERS).astype(dtype),)
    elif kind == "gated":
        others = (normal(1, CHANNELS, 3), normal(2, 3, CHANNELS))
    return x, 1.0 + 0.3 * normal(3, size), normal(4, size), *others


def run(function, kind, values):
    """What it gives, and the gradients of all arguments."""

    @jax.jit
    def differentiated(*values):
        def score(*values):
            y, mean, variance = function(kind, *values)
            weights = normal(5, *y.shape)
            return jnp.sum(y.astype("float32") * weights), (y, mean, variance)

        places = tuple(range(len(values)))
        return jax.value_and_grad(score, places, has_aux=True)(*values)

    (_, results), gradients = differentiated(*values)
    return [np.asarray(x, "float64") for x in (*results, *gradients)]


KINDS = ["norm", "activated", "gated", "expand"]


@pytest.mark.parametrize("kind", KINDS)
def test_written_gradients_are_those_that_jax_derives(kind):
    values = arguments(kind, "float32")
    for found, expected in zip(
        run(written, kind, values), run(plain, kind, values), strict=True
    ):
        limit = 2e-5 * max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(found, expected, atol=limit, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_in_bfloat16_they_are_no_less_exact(kind):
    values = arguments(kind, "bfloat16")
    exact = run(plain, kind, [x.astype("float32") for x in values])
    derived = run(plain, kind, values)
    for ours, theirs, expected in zip(
        run(written, kind, values), derived, exact, strict=True
    ):
        unit = np.abs(expected).max()
        error, allowed = (np.abs(x - expected).mean() / unit for x in (ours, theirs))
        assert error < max(1.2 * allowed, 2**-9)


def test_statistics_of_bfloat16_are_those_of_two_passes():
    # As far from 0 as bfloat16 can be and still tell such values from each other.
    x = normal(0, 64, 8, 8, 3, mean=60.0).astype("bfloat16")
    _, mean, variance = written("norm", x, jnp.ones(3), jnp.zeros(3))
    exact = np.asarray(x, "float64").reshape(-1, 3)
    np.testing.assert_allclose(mean, exact.mean(0), rtol=1e-5)
    # On a CPU, JAX 0.5 adds up one value at a time.
    is_old = jax.__version__.startswith("0.5.")
    np.testing.assert_allclose(variance, exact.var(0), rtol=5e-2 if is_old else 5e-3)
