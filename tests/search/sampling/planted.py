"""A reward in closed form over a space like the paper's: searches take milliseconds."""

import numpy as np

# Stage: image side, filters, layers to choose from; like EfficientNet's stages 2 to 7.
STAGES = (
    (56, 24, (1, 2, 3)),
    (28, 40, (1, 2, 3)),
    (14, 80, (2, 3, 4)),
    (14, 112, (2, 3, 4)),
    (7, 192, (2, 4, 6)),
    (7, 320, (1, 2, 3)),
)
DECISIONS = {
    f"{name}{stage}": choices
    for stage, (_, _, layers) in enumerate(STAGES, 1)
    for name, choices in (
        ("operator", ("mbconv", "fused_mbconv")),
        ("kernel", (3, 5)),
        ("expansion", (1, 4, 6)),
        ("layers", layers),
    )
}
NOISE = 0.02  # Standard deviation of rewards: a third of the space's.


class PlantedReward:
    """Accuracy * step time ** -0.07 * parameters ** -0.05, the last two normalized.

    Accuracy grows with depth, expansion and kernel, less and less; early stages like
    fused convolutions, late ones don't; and what neighboring stages do interacts. How
    much of each, `seed` decides.
    """

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self._gains = rng.uniform(0.5, 1.5, (len(STAGES), 4))
        self._tastes = rng.normal(0, 0.006, (len(DECISIONS), 3))
        self._pairs = rng.normal(0, 0.004, (len(DECISIONS) - 1, 3, 3))
        backbone = self.measure(np.array([[0, 0, 2, 1] * len(STAGES)]))
        self._seconds, self._parameters = backbone[1], backbone[2]

    def measure(self, indices):
        """Accuracy, step seconds and parameters of points, indices `(points, 24)`."""
        capacity, seconds, parameters = 0.0, 0.0, 0.0
        for stage, (side, filters, choices) in enumerate(STAGES):
            operator, kernel, expansion, layers = indices[
                :, 4 * stage : 4 * stage + 4
            ].T
            kernels = 3 + 2 * kernel
            wide = filters * np.array([1, 4, 6])[expansion]
            deep = np.array(choices)[layers]
            weights = np.where(
                operator == 1,
                kernels**2 * filters * wide + wide * filters,
                2 * wide * filters + kernels**2 * wide,
            )
            parameters = parameters + deep * weights
            speed = np.where(operator == 1, 3.0, 1.0)  # Dense convolutions are faster.
            seconds = seconds + deep * side**2 * weights / speed / 1e10
            gain = self._gains[stage]
            fused = operator * (0.4 - 0.2 * stage) * gain[0]
            capacity = capacity + gain[3] * np.sqrt(deep) * (
                1 + fused + 0.1 * gain[1] * kernel + 0.25 * gain[2] * expansion
            )
        accuracy = 0.85 - 0.4 * np.exp(-capacity / 8)
        columns = np.arange(len(DECISIONS))
        accuracy = accuracy + self._tastes[columns, indices].sum(-1)
        accuracy = accuracy + self._pairs[
            columns[:-1], indices[:, :-1], indices[:, 1:]
        ].sum(-1)
        return accuracy, 0.01 + seconds, parameters

    def __call__(self, indices):
        """Rewards `(points,)` without noise."""
        accuracy, seconds, parameters = self.measure(indices)
        time, size = seconds / self._seconds, parameters / self._parameters
        return accuracy * time**-0.07 * size**-0.05

    def quantile(self, share):
        """The reward that this share of all points exceeds, from 50,000 of them."""
        rng = np.random.default_rng(0)
        sizes = [len(choices) for choices in DECISIONS.values()]
        return np.quantile(
            self(rng.integers(0, sizes, (50_000, len(sizes)))), 1 - share
        )


def to_indices(point):
    """The point as a row of indices into the choices."""
    return np.array([[c.index(point[name]) for name, c in DECISIONS.items()]])


def noisy(planted, seed):
    """An objective that leaves what a real one does."""

    def objective(trial, point):
        noise = np.random.default_rng([seed, trial.number]).normal(0, NOISE)
        indices = to_indices(point)
        accuracy, seconds, parameters = (float(x[0]) for x in planted.measure(indices))
        trial.set_user_attr("accuracy", accuracy + noise)
        trial.set_user_attr("step_seconds", seconds)
        trial.set_user_attr("parameters", int(parameters))
        return float(planted(indices)[0]) + noise

    return objective
