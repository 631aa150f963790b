"""A process that runs our network on Keras's JAX backend, in bfloat16.

    python -m benchmarks.processes.jax_side CONSTRUCTOR "training 300 128" ...

The step is softmax cross-entropy of 1,000 logits and SGD with momentum, on images
already on the device.
"""

import functools

import jax
import keras
import numpy as np

import keras_effnetv2
from benchmarks.processes.accelerator import Step, parse, serve


def make_steps(constructor: str, *works: str) -> tuple[dict[str, Step], object]:
    """A step for each work, and how to wait for one."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    build = getattr(keras_effnetv2, constructor)
    model = build(weights=None, classifier_activation=None)
    makers = {"training": _training, "inference": _inference}
    steps = {}
    for work in works:
        kind, size, batch = parse(work)
        random = np.random.default_rng(0)
        pixels = random.uniform(0, 255, (batch, size, size, 3)).astype("float32")
        steps[work] = makers[kind](model, jax.device_put(pixels))
    return steps, jax.block_until_ready


def _values(variables: list) -> list:
    """Copies: a training step takes the memory of its arguments."""
    return [variable.value.copy() for variable in variables]


def _inference(model: keras.Model, images: jax.Array) -> Step:
    @jax.jit
    def infer(trained: list, others: list, x: jax.Array) -> jax.Array:
        return model.stateless_call(trained, others, x, training=False)[0]

    weights = (model.trainable_variables, model.non_trainable_variables)
    return functools.partial(infer, *map(_values, weights), images)


def _training(model: keras.Model, images: jax.Array) -> Step:
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    optimizer.build(model.trainable_variables)
    labels = jax.device_put(np.arange(len(images)) % 1000)

    def loss(trained: list, others: list, x: jax.Array, y: jax.Array) -> tuple:
        logits, others = model.stateless_call(trained, others, x, training=True)
        losses = keras.ops.sparse_categorical_crossentropy(y, logits, from_logits=True)
        return losses.mean(), others

    @functools.partial(jax.jit, donate_argnums=0)
    def train(state: tuple, x: jax.Array, y: jax.Array) -> tuple:
        trained, others, slots = state
        differentiate = jax.value_and_grad(loss, has_aux=True)
        (value, others), gradients = differentiate(trained, others, x, y)
        trained, slots = optimizer.stateless_apply(slots, gradients, trained)
        return (trained, others, slots), value

    groups = model.trainable_variables, model.non_trainable_variables
    state = tuple(map(_values, (*groups, optimizer.variables)))

    def step() -> jax.Array:
        nonlocal state
        state, value = train(state, images, labels)
        return value

    return step


if __name__ == "__main__":
    serve(make_steps)
