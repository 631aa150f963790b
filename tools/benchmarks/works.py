"""Works to measure: a network on images of one size, in batches."""

import dataclasses

from keras_effnetv2.profiling import profile

# Name -> constructor in keras_effnetv2, keras.applications and kimm; name in timm.
NETWORKS = {
    name: (f"EfficientNetV2{name}", f"tf_efficientnetv2_{name.lower()}")
    for name in ("B0", "S", "XL")
}


@dataclasses.dataclass(frozen=True)
class Work:
    """One forward call, or one training step.

    Attributes:
        network: a name of `NETWORKS`.
        image_size: image side, pixels.
        batch_size: images per batch.
    """

    network: str
    image_size: int
    batch_size: int

    def __str__(self) -> str:
        return f"{self.network}@{self.image_size} batch {self.batch_size}"

    @property
    def forward_flops(self) -> float:
        """Floating-point operations of convolutions and dense, two per multiply-add."""
        variant = f"efficientnetv2-{self.network.lower()}"
        counted = profile(variant, self.image_size, measure=False)
        return 2.0 * counted.multiply_adds * self.batch_size

    @property
    def training_flops(self) -> float:
        """Three forward passes: the gradients of inputs and of kernels count as two."""
        return 3 * self.forward_flops
