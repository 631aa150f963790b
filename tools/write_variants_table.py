"""Writes the table of variants into README.md, from what `list` prints.

    python tools/write_variants_table.py

A test compares the two.
"""

import pathlib

from keras_effnetv2 import profiling
from keras_effnetv2.networks import variants

README = pathlib.Path(__file__).parents[1] / "README.md"
BEGIN = "<!-- variants: written by tools/write_variants_table.py -->\n"
END = "<!-- /variants -->\n"
SIZES = ("b0", "b1", "b2", "b3", "s", "m", "l", "xl")


def row(name: str) -> str:
    """A line of Markdown."""
    variant = variants.get_variant(name)
    counted = profiling.profile(variant, measure=False)
    params = counted.num_trainable_params / 1e6
    top1 = profiling.PUBLISHED[name].top1
    return f"| `{name}` | {variant.eval_size} | {params:.1f} | {top1:g} |"


def table() -> str:
    """The block of Markdown, with its markers."""
    lines = [
        "| Variant | Image size | Parameters, M | Top-1, % |",
        "| --- | ---: | ---: | ---: |",
        *(row(f"efficientnetv2-{size}") for size in SIZES),
    ]
    return BEGIN + "\n".join(lines) + "\n" + END


def written(text: str) -> str:
    """README.md's text with the current table."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + table() + after


if __name__ == "__main__":
    README.write_text(written(README.read_text()))
