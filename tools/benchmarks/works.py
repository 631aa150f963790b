"""What is measured: a network on images of a size, in batches."""

import dataclasses

from keras_effnetv2.profiling import profile

# Name -> constructor in keras_effnetv2 and in the applications of Keras; name in timm.
NETWORKS = {
    "B0": ("EfficientNetV2B0", "tf_efficientnetv2_b0"),
    "S": ("EfficientNetV2S", "tf_efficientnetv2_s"),
}
_VARIANTS = {"B0": "efficientnetv2-b0", "S": "efficientnetv2-s"}


@dataclasses.dataclass(frozen=True)
class Work:
    """One forward call, or one training step.

    Attributes:
        network: a name of `NETWORKS`.
        image_size: pixels a side.
        batch_size: images.
    """

    network: str
    image_size: int
    batch_size: int

    def __str__(self) -> str:
        return f"{self.network}@{self.image_size} batch {self.batch_size}"

    @property
    def forward_flops(self) -> float:
        """Floating-point operations, two a multiply-add, of convolutions and dense."""
        counted = profile(_VARIANTS[self.network], self.image_size, measure=False)
        return 2.0 * counted.multiply_adds * self.batch_size

    @property
    def training_flops(self) -> float:
        """As three forward passes: the gradients of inputs and kernels are two."""
        return 3 * self.forward_flops
