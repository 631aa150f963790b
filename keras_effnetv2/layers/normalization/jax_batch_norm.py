"""Batch norm in training on JAX, together with the layers around it.

In these networks accelerators wait for memory, so what counts is how often a step reads
and writes each array of the size of the images. With JAX's own gradients, statistics
take a second pass over the images, forward and backward, and so do sums that could be
formed in an earlier pass. The gradients here avoid these passes. They keep the outputs
of convolutions, and values per channel, or per channel of an image.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

_IMAGE = (1, 2)  # Axes of height and width.
# Of small matrices, where it costs nothing.
_EXACT = jax.lax.Precision.HIGHEST


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def normalize(
    x: Any, gamma: Any, beta: Any, center: Any, epsilon: float, is_activated: bool
) -> tuple[Any, Any, Any]:
    """Batch norm of the last axis, and SiLU if `is_activated`.

    Args:
        x: `(..., channels)`, bfloat16, float16 or float32.
        gamma: scale, `(channels,)`, float32.
        beta: offset, likewise.
        center: where the mean is expected, likewise; it has no gradient.
        epsilon: added to the variance.
        is_activated: SiLU follows.

    Returns:
        The outputs in the dtype of `x`; mean and variance, `(channels,)` in float32,
        which have no gradient.
    """
    return _normalize(x, gamma, beta, center, epsilon, is_activated)[0]


def _normalize(
    x: Any, gamma: Any, beta: Any, center: Any, epsilon: float, is_activated: bool
) -> tuple[tuple[Any, Any, Any], tuple]:
    mean, variance = _statistics(x, center)
    inverse = jax.lax.rsqrt(variance + epsilon)
    y = _scaled(x, gamma, beta, mean, inverse)
    if is_activated:
        y *= jax.nn.sigmoid(y)
    return (y.astype(x.dtype), mean, variance), (x, gamma, beta, mean, inverse)


def _normalize_gradient(
    epsilon: float, is_activated: bool, kept: tuple, gradients: tuple
) -> tuple[Any, Any, Any, None]:
    x, gamma, beta, mean, inverse = kept
    dy = gradients[0].astype(jnp.float32)
    if is_activated:
        dy *= _slope(_scaled(x, gamma, beta, mean, inverse))
    axes = tuple(range(x.ndim - 1))
    centered = _centered(x, mean, inverse)
    dbeta, dgamma = jnp.sum(dy, axes), jnp.sum(dy * centered, axes)
    if is_activated:
        dy = _stored(dy, x.dtype).astype(jnp.float32)
    count = x.size // x.shape[-1]
    dx = gamma * inverse * (dy - (dbeta + centered * dgamma) / count)
    return dx.astype(x.dtype), dgamma, dbeta, None


normalize.defvjp(_normalize, _normalize_gradient)


@functools.partial(jax.custom_vjp, nondiff_argnums=(5, 6))
def normalize_and_gate(
    x: Any,
    gamma: Any,
    beta: Any,
    center: Any,
    weights: Sequence[Any],
    gates_of: Callable[[Any, Sequence[Any]], Any],
    epsilon: float,
) -> tuple[Any, Any, Any]:
    """Batch norm, SiLU and squeeze-excite.

    The gradient takes one pass less than those of the parts: the gates' share in the
    gradients of `gamma` and `beta` follows from sums over each image, which are formed
    before the gradients of the gates are known.

    Args:
        x: `(batch, height, width, channels)`.
        gamma: as for `normalize`.
        beta: likewise.
        center: likewise.
        weights: of the gates.
        gates_of: gates, `(batch, 1, 1, channels)`, of the means over each image, which
            are of the same shape, and of `weights`.
        epsilon: added to the variance.

    Returns:
        As `normalize`.
    """
    return _normalize_and_gate(x, gamma, beta, center, weights, gates_of, epsilon)[0]


def _normalize_and_gate(
    x: Any,
    gamma: Any,
    beta: Any,
    center: Any,
    weights: Any,
    gates_of: Any,
    epsilon: float,
) -> tuple[tuple[Any, Any, Any], tuple]:
    mean, variance = _statistics(x, center)
    inverse = jax.lax.rsqrt(variance + epsilon)
    y = _scaled(x, gamma, beta, mean, inverse)
    y *= jax.nn.sigmoid(y)
    means = jnp.mean(y, _IMAGE, keepdims=True).astype(x.dtype)
    gates, pull_back = jax.vjp(gates_of, means, weights)
    outputs = (y * gates.astype(jnp.float32)).astype(x.dtype)
    kept = (x, gamma, beta, mean, inverse, gates, pull_back)
    return (outputs, mean, variance), kept


def _normalize_and_gate_gradient(
    gates_of: Any, epsilon: float, kept: tuple, gradients: tuple
) -> tuple[Any, Any, Any, None, Any]:
    x, gamma, beta, mean, inverse, gates, pull_back = kept
    d = gradients[0].astype(jnp.float32)
    y = _scaled(x, gamma, beta, mean, inverse)
    slope, centered = _slope(y), _centered(x, mean, inverse)

    def over_image(values: Any) -> Any:
        return jnp.sum(values, _IMAGE, keepdims=True)

    dgates = over_image(d * y * jax.nn.sigmoid(y))
    dmeans, dweights = pull_back(dgates.astype(gates.dtype))
    gates = gates.astype(jnp.float32)
    dmeans = dmeans.astype(jnp.float32) / (x.shape[1] * x.shape[2])

    def over_batch(values: Any) -> Any:
        """Sum of `values` times the gradient of the normalised."""
        by_gates, by_means = over_image(d * slope * values), over_image(slope * values)
        return jnp.sum(gates * by_gates + dmeans * by_means, (0, 1, 2))

    dbeta, dgamma = over_batch(1.0), over_batch(centered)
    dy = (d * gates + dmeans) * slope
    count = x.size // x.shape[-1]
    dx = gamma * inverse * (dy - (dbeta + centered * dgamma) / count)
    return dx.astype(x.dtype), dgamma, dbeta, None, dweights


normalize_and_gate.defvjp(_normalize_and_gate, _normalize_and_gate_gradient)


@functools.partial(jax.custom_vjp, nondiff_argnums=(5,))
def expand(
    x: Any, kernel: Any, gamma: Any, beta: Any, center: Any, epsilon: float
) -> tuple[Any, Any, Any]:
    """1x1 convolution to more channels, batch norm and SiLU.

    In the gradient of batch norm, the convolution's outputs only occur times a factor
    per channel. They are products of the smaller `x`, so matrices of `channels` by
    `channels` replace two passes over these outputs.

    Args:
        x: `(batch, height, width, channels)`.
        kernel: `(1, 1, channels, filters)`, of the dtype of `x`.
        gamma: as for `normalize`, of `filters`.
        beta: likewise.
        center: likewise.
        epsilon: added to the variance.

    Returns:
        As `normalize`.
    """
    return _expand(x, kernel, gamma, beta, center, epsilon)[0]


def _expand(
    x: Any, kernel: Any, gamma: Any, beta: Any, center: Any, epsilon: float
) -> tuple[tuple[Any, Any, Any], tuple]:
    outputs = _pointwise(x, kernel)
    results, kept = _normalize(outputs, gamma, beta, center, epsilon, True)
    return results, (x, kernel, *kept)


def _expand_gradient(
    epsilon: float, kept: tuple, gradients: tuple
) -> tuple[Any, Any, Any, Any, None]:
    x, kernel, outputs, gamma, beta, mean, inverse = kept
    slope = _slope(_scaled(outputs, gamma, beta, mean, inverse))
    dy = gradients[0].astype(jnp.float32) * slope
    axes = tuple(range(x.ndim - 1))
    dbeta = jnp.sum(dy, axes)
    dgamma = jnp.sum(dy * _centered(outputs, mean, inverse), axes)
    # The gradient of the convolution's outputs is
    # scale * dy - factor * outputs - constant, and the outputs are x @ weights.
    count = x.size // x.shape[-1]
    scale = gamma * inverse
    factor = scale * inverse * dgamma / count
    constant = scale * dbeta / count - mean * factor
    weights = kernel[0, 0].astype(jnp.float32)
    dy = _stored(dy, x.dtype)
    through = jnp.matmul(weights * factor, weights.T, precision=_EXACT)
    dx = (
        _pointwise(dy, (weights * scale).T[None, None], jnp.float32)
        - _pointwise(x, through[None, None], jnp.float32)
        - jnp.matmul(weights, constant, precision=_EXACT)
    )
    sums = jnp.sum(x, axes, dtype=jnp.float32)
    dweights = (
        _products(x, dy) * scale
        - sums[:, None] * constant
        - jnp.matmul(_products(x, x), weights * factor, precision=_EXACT)
    )
    dkernel = dweights[None, None].astype(kernel.dtype)
    return dx.astype(x.dtype), dkernel, dgamma, dbeta, None


expand.defvjp(_expand, _expand_gradient)


def _pointwise(x: Any, kernel: Any, dtype: Any = None) -> Any:
    return jax.lax.conv_general_dilated(
        x,
        kernel.astype(x.dtype),
        (1, 1),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        preferred_element_type=dtype,
    )


def _products(x: Any, y: Any) -> Any:
    """Of each channel of `x` with each of `y`, summed over all pixels, in float32."""
    axes = tuple(range(x.ndim - 1))
    return jax.lax.dot_general(
        x, y, ((axes, axes), ((), ())), preferred_element_type=jnp.float32
    )


def _scaled(x: Any, gamma: Any, beta: Any, mean: Any, inverse: Any) -> Any:
    scale = gamma * inverse
    return x.astype(jnp.float32) * scale + (beta - mean * scale)


def _centered(x: Any, mean: Any, inverse: Any) -> Any:
    return (x.astype(jnp.float32) - mean) * inverse


def _slope(y: Any) -> Any:
    """The derivative of SiLU."""
    gate = jax.nn.sigmoid(y)
    return gate * (1.0 + y * (1.0 - gate))


def _stored(dy: Any, dtype: Any) -> Any:
    """Makes XLA store `dy`, which two convolutions read, in this dtype.

    Otherwise XLA drops the rounding and stores float32, or computes it twice.
    """
    return jax.lax.optimization_barrier(dy.astype(dtype))


def _statistics(x: Any, center: Any) -> tuple[Any, Any]:
    """Mean and variance of each channel, in float32.

    For bfloat16 in one pass, by squares about `center`. If `center` is wrong, the
    difference of large numbers loses digits that bfloat16 values do not have.
    """
    axes = tuple(range(x.ndim - 1))
    values = x.astype(jnp.float32)
    if x.dtype != jnp.bfloat16:
        return jnp.mean(values, axes), jnp.var(values, axes)
    values -= center
    mean, squares = jnp.mean(values, axes), jnp.mean(jnp.square(values), axes)
    return center + mean, jnp.maximum(squares - jnp.square(mean), 0.0)
