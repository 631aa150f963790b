"""The model card of a repository."""

from keras_effnetv2.preprocessing import Preprocessing

_CARD = """\
---
tags:
- image-classification
- timm
- keras
pipeline_tag: image-classification
library_name: timm
---
# {title}

{variant} of [keras_effnetv2], {classes}. The files are in timm's format.

```python
import keras_effnetv2

model = keras_effnetv2.create_model("hf://{name}")  # Takes pixels 0..255.
```

```python
import timm

model = timm.create_model("hf-hub:{name}", pretrained=True)
```

Images are {size} x {size} pixels, cropped as `{crop}`{share}, resized by
{interpolation} interpolation, with mean {mean} and deviation {std} of pixels 0..255.

[keras_effnetv2]: https://pypi.org/project/keras_effnetv2/
"""


def model_card(name: str, variant: str, num_classes: int, record: Preprocessing) -> str:
    """The card as Markdown.

    Args:
        name: `USER/REPO`.
        variant: variant of the network.
        num_classes: classes of the classifier; 0 without one.
        record: preprocessing of the weights.
    """
    return _CARD.format(
        title=name.rpartition("/")[2],
        name=name,
        variant=variant,
        classes=f"for {num_classes} classes" if num_classes else "without classifier",
        size=record.image_size,
        crop=record.crop,
        share="" if record.crop_pct is None else f" of {record.crop_pct:g}",
        interpolation=record.interpolation,
        mean=", ".join(f"{x:g}" for x in record.mean),
        std=", ".join(f"{x:g}" for x in record.std),
    )
