"""Points of networks."""

FIELDS = ("operator", "kernel_size", "expand_ratio", "num_repeats")


def point_of(variant):
    """What each stage of a network would have chosen."""
    return {
        f"stage{stage}/{field}": getattr(spec, field)
        for stage, spec in enumerate(variant.blocks, start=1)
        for field in FIELDS
    }
