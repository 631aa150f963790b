"""Finds the largest batch that fits, by linear extrapolation and compiling."""

from collections.abc import Callable, Sequence

from keras_effnetv2.planning.plans import Largest, StepCost

# Near the limit the compiler saves memory by recomputing, so growth is not linear.
_MOST_TRIES = 4


def find_largest(
    compile_batch: Callable[[int], StepCost],
    first: StepCost,
    multiple: int,
    usable: float,
) -> Largest:
    """The largest batch, extrapolated from two smaller ones, and compiled to be sure.

    The compiler may fit somewhat larger batches by recomputing results, which takes
    time in each step; these are not searched for.

    Args:
        compile_batch: returns the cost of a step with a batch size.
        first: the cost of a step that is already compiled.
        multiple: batch sizes must be a multiple of it.
        usable: bytes of a device for the program.
    """
    known = [first]

    def add(batch_size: int) -> StepCost:
        known.append(compile_batch(batch_size))
        return known[-1]

    while len(fitting := _fitting(known)) < 2:
        smallest = min(cost.batch_size for cost in known)
        refused = _largest(known).too_large
        if smallest > multiple:
            add(_round(smallest // 2, multiple))
        elif fitting and (refused is None or refused > 2 * multiple):
            add(2 * multiple)
        else:
            return _largest(known)
    batch_size = _predict(fitting, multiple, usable)
    for _ in range(_MOST_TRIES):
        refused = _largest(known).too_large
        if refused is not None and batch_size >= refused:
            batch_size = _round(refused * 15 // 16, multiple)
        if batch_size <= fitting[-1].batch_size or add(batch_size).fits:
            break
    return _largest(known)


def _fitting(known: Sequence[StepCost]) -> list[StepCost]:
    return sorted((x for x in known if x.fits), key=lambda cost: cost.batch_size)


def _predict(fitting: Sequence[StepCost], multiple: int, usable: float) -> int:
    """The batch size where the line through the two largest reaches the limit."""
    low, high = fitting[-2:]
    more = high.batch_size - low.batch_size
    slope = max((high.used_bytes - low.used_bytes) / more, 1.0)
    return _round(high.batch_size + int((usable - high.used_bytes) / slope), multiple)


def _round(batch_size: int, multiple: int) -> int:
    """Rounds down to a round number of multiples: five significant bits."""
    pieces = max(1, batch_size // multiple)
    unit = 1 << max(0, pieces.bit_length() - 5)
    return pieces // unit * unit * multiple


def _largest(known: Sequence[StepCost]) -> Largest:
    fitting = _fitting(known)
    refused = [x.batch_size for x in known if not x.fits]
    return Largest(
        known[0].stage,
        known[0].remat,
        fitting[-1].batch_size if fitting else 0,
        min(refused, default=None),
    )
