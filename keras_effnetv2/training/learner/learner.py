"""A network in training: loss, gradients and the moving average, in Keras's `fit`.

Sources: google/automl, efficientnetv2: `main.py`, `utils.py`; paper: Tan and Le 2021,
Section 5.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from keras_effnetv2.backends import require_backend
from keras_effnetv2.optimizers import move_towards
from keras_effnetv2.private_apis import Prebuilt
from keras_effnetv2.training.devices import replicas
from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.learner import losses


class Learner(Prebuilt):
    """The common part of the learners of all backends; see `create_learner`."""

    def __init__(
        self,
        network: keras.Model,
        averaged: keras.Model | None,
        loss: Callable[[Any, Any], Any],
        eval_loss: Callable[[Any, Any], Any],
        ema_momentum: float,
        accumulation_steps: int,
    ) -> None:
        super().__init__(name="learner")
        self.network = network
        self.averaged = averaged
        if averaged is not None:
            averaged.trainable = False
        self.loss_of = loss
        self.eval_loss_of = eval_loss
        self.ema_momentum = ema_momentum
        self.accumulation_steps = accumulation_steps
        self.head_places: tuple[int, ...] = ()
        self.trains_head_only = False
        self.measures = [
            keras.metrics.Mean(name) for name in ("loss", "accuracy", "top5_accuracy")
        ]
        self.built = True

    @property
    def result(self) -> keras.Model:
        """The network to evaluate and to keep: the average, if there is one."""
        return self.averaged or self.network

    @property
    def learning_variables(self) -> list[Any]:
        """The variables that a step changes: all trainable, or the classifier's."""
        variables = self.trainable_variables
        if not self.trains_head_only:
            return variables
        return [variables[place] for place in self.head_places]

    def train_head_only(self, is_so: bool) -> None:
        """Whether the next steps change only the classifier.

        The rest then runs as in evaluation: its batch statistics stay, too.
        """
        if is_so != self.trains_head_only:
            self.trains_head_only = is_so
            self.train_function = None  # It must be traced again.

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Means over the images of an epoch, or of an evaluation."""
        return self.measures

    def call(self, images: Any, training: bool | None = None) -> Any:
        """Scores before softmax, `(batch, classes)`."""
        return self.network(images, training=training)

    def measured(self) -> dict[str, float]:
        """The metrics since they were reset. All workers must call it.

        `loss`, `accuracy` and `top5_accuracy`, which is left out for five classes or
        fewer, where it would always be 1.
        """
        found = {x.name: float(ops.convert_to_numpy(x.result())) for x in self.measures}
        if self.network.output_shape[-1] <= 5:
            del found["top5_accuracy"]
        return found

    def _score(self, images: Any, labels: Any) -> Any:
        """Mean loss of some images as a scalar, with L2; updates the metrics."""
        scores = self.network(images, training=not self.trains_head_only)
        loss = self.loss_of(labels, scores)
        self._measure(loss, labels, scores)
        return ops.mean(loss) + sum(self.losses)

    def _evaluate(self, images: Any, labels: Any, weights: Any) -> None:
        """Updates the metrics with the images of weight 1, using averaged weights."""
        scores = self.result(images, training=False)
        self._measure(self.eval_loss_of(labels, scores), labels, scores, weights)

    def _measure(
        self, loss: Any, labels: Any, scores: Any, weights: Any = None
    ) -> None:
        hits = [losses.top_k_hits(labels, scores, k) for k in (1, 5)]
        for measure, values in zip(self.measures, (loss, *hits), strict=True):
            measure.update_state(values, sample_weight=weights)

    def _move_average(self, num_steps: Any) -> None:
        """Moves averages of weights and batch statistics, after step `num_steps`.

        The first steps move them faster, like `num_updates` of TensorFlow 1's
        ExponentialMovingAverage.
        """
        if self.averaged is None:
            return
        steps = ops.cast(num_steps, "float32")
        momentum = ops.minimum(self.ema_momentum, (1 + steps) / (10 + steps))
        for average, variable in zip(
            self.averaged.weights, self.network.weights, strict=True
        ):
            move_towards(average, variable, 1 - momentum)


class _TensorFlowLearner(Learner):
    """On TensorFlow a step changes variables in place."""

    def train_step(self, data: tuple) -> dict[str, Any]:
        """One step on `(images, labels)` of a replica."""
        loss, gradients = self._gradients(*data)
        self.optimizer.apply(gradients, self.learning_variables)
        self._move_average(self.optimizer.iterations)
        return {"loss": replicas.as_log(loss)}

    def test_step(self, data: tuple) -> dict[str, Any]:
        """Evaluates `(images, labels, weights)` of a replica."""
        self._evaluate(*data)
        return {"images": replicas.as_log(ops.sum(data[2]))}

    def _gradients(self, images: Any, labels: Any) -> tuple[Any, list[Any]]:
        """Mean loss and its gradients, in pieces that each fit into memory."""
        import tensorflow as tf

        num_pieces = self.accumulation_steps
        pieces = [tf.split(x, num_pieces) for x in (images, labels)]
        loss, gradients = 0.0, []
        for piece in zip(*pieces, strict=True):
            # Each piece waits for the gradients before it, and reuses their memory.
            with tf.control_dependencies(gradients):
                more_loss, more = self._piece_gradients(*map(tf.identity, piece))
            loss += more_loss / num_pieces
            more = [gradient / num_pieces for gradient in more]
            pairs = zip(gradients or [0.0] * len(more), more, strict=True)
            gradients = [before + gradient for before, gradient in pairs]
        return loss, gradients

    def _piece_gradients(self, images: Any, labels: Any) -> tuple[Any, list[Any]]:
        import tensorflow as tf

        num_replicas = tf.distribute.get_strategy().num_replicas_in_sync
        with tf.GradientTape() as tape:
            loss = self._score(images, labels)
            # Gradients of replicas are summed, so scale them to make the sum a mean.
            scaled = self.optimizer.scale_loss(loss / num_replicas)
        return loss, tape.gradient(scaled, self.learning_variables)


class _JaxLearner(Learner):
    """On JAX a step is a function of all variables."""

    def train_step(self, state: tuple, data: tuple) -> tuple[dict[str, Any], tuple]:
        """One step on `(images, labels)` of all devices."""
        trainable, fixed, optimizer, measured = state
        loss, gradients, fixed, measured = self._gradients(state, data)
        trainable, optimizer = self.optimizer.stateless_apply(
            optimizer, gradients, trainable
        )
        mapping = [
            *zip(self.trainable_variables, trainable, strict=True),
            *zip(self.non_trainable_variables, fixed, strict=True),
            *zip(self.optimizer.variables, optimizer, strict=True),
        ]
        with keras.StatelessScope(state_mapping=mapping) as scope:
            self._move_average(self.optimizer.iterations)
        fixed = [scope.get_current_value(v) for v in self.non_trainable_variables]
        return {"loss": loss}, (trainable, fixed, optimizer, measured)

    def test_step(self, state: tuple, data: tuple) -> tuple[dict[str, Any], tuple]:
        """Evaluates `(images, labels, weights)` of all devices."""
        trainable, fixed, measured = state
        with self._scope(trainable, fixed, measured) as scope:
            self._evaluate(*data)
        measured = [scope.get_current_value(v) for v in self.metrics_variables]
        return {"images": ops.sum(data[2])}, (trainable, fixed, measured)

    def _gradients(self, state: tuple, data: tuple) -> tuple:
        """Mean loss, its gradients, and the updated other variables."""
        import jax

        trainable, fixed, optimizer, measured = state
        num_pieces = self.accumulation_steps
        pieces = jax.tree.map(
            lambda x: x.reshape(num_pieces, -1, *x.shape[1:]), tuple(data)
        )
        differentiate = jax.value_and_grad(self._pure_score, has_aux=True)

        def add(carry, piece):
            total, sums, fixed, measured = carry
            (_, (loss, fixed, measured)), gradients = differentiate(
                trainable, fixed, measured, optimizer, piece
            )
            sums = [a + b / num_pieces for a, b in zip(sums, gradients, strict=True)]
            return (total + loss / num_pieces, sums, fixed, measured), None

        zeros = [ops.zeros_like(x) for x in trainable]
        start = (ops.zeros(()), zeros, list(fixed), list(measured))
        if num_pieces == 1:
            return add(start, jax.tree.map(lambda x: x[0], pieces))[0]
        return jax.lax.scan(add, start, pieces)[0]

    def _pure_score(
        self, trainable: Any, fixed: Any, measured: Any, optimizer: Any, piece: tuple
    ) -> tuple:
        """The scaled loss, and as auxiliary output the loss and other variables."""
        with self._scope(trainable, fixed, measured) as scope:
            loss = self._score(*piece)
        others = (*self.non_trainable_variables, *self.metrics_variables)
        values = [scope.get_current_value(v) for v in others]
        num_fixed = len(self.non_trainable_variables)
        mapping = zip(self.optimizer.variables, optimizer, strict=True)
        with keras.StatelessScope(state_mapping=list(mapping)):
            scaled = self.optimizer.scale_loss(loss)
        return scaled, (loss, values[:num_fixed], values[num_fixed:])

    def _scope(self, trainable: Any, fixed: Any, measured: Any) -> Any:
        mapping = [
            *zip(self.trainable_variables, trainable, strict=True),
            *zip(self.non_trainable_variables, fixed, strict=True),
            *zip(self.metrics_variables, measured, strict=True),
        ]
        return keras.StatelessScope(state_mapping=mapping)


_LEARNERS = {"tensorflow": _TensorFlowLearner, "jax": _JaxLearner}


def create_learner(
    network: keras.Model,
    averaged: keras.Model | None,
    experiment: Experiment,
    class_counts: Sequence[int] | None = None,
) -> Learner:
    """A model around `network` that `compile(optimizer)` and `fit` train.

    `fit` takes batches `(images, labels)`, `evaluate` batches `(images, labels,
    weights)`, where a weight of 0 leaves an image out.

    Args:
        network: a network that returns scores before softmax.
        averaged: another network of the same shape, for the moving average of weights
            and batch statistics, which `evaluate` measures. None: no average.
        experiment: sets the loss, the momentum of the average and accumulation.
        class_counts: training images of each class, for losses that depend on them.
    """
    require_backend("Experiments are trained and evaluated on", *_LEARNERS)
    regularization, class_weights = experiment.regularization, None
    if regularization.class_weights == "balanced" and class_counts is not None:
        class_weights = losses.balanced_weights(class_counts)
    learner = _LEARNERS[keras.backend.backend()](
        network,
        averaged,
        losses.build_loss(
            experiment.loss, regularization.label_smoothing, class_weights
        ),
        losses.build_loss(experiment.loss),
        experiment.optimizer.ema_momentum,
        experiment.optimizer.accumulation_steps,
    )
    if averaged is not None:
        averaged.set_weights(network.get_weights())
    return learner
