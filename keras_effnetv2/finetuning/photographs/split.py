"""Splits photographs by class, with copies together, deterministically."""

import collections
import dataclasses
import hashlib
from collections.abc import Sequence

from keras_effnetv2.data.labelled_files import LabelledFile
from keras_effnetv2.data.printable import shown
from keras_effnetv2.errors import InputError
from keras_effnetv2.finetuning.photographs.survey import Survey

VALIDATION_SHARE = 0.2
_MOST_VALIDATION = 4000  # More images add little, and take time.
# Different images: per class, one to train on and one to validate with; and in total,
# the least that a network can be trained on.
LEAST_IN_CLASS, LEAST = 2, 10


def split_photographs(survey: Survey, seed: int = 0) -> list[LabelledFile]:
    """Every readable photograph with its part; some are left out.

    Given parts are kept. If there is no validation part, about a fifth of the images of
    each class is chosen, by hashes of the files' contents: their names and order do not
    matter. Copies stay together; if they are in different given parts, those in the
    training part are left out.

    Args:
        survey: survey of the photographs.
        seed: different seeds give different splits.

    Raises:
        ValueError: there are too few images or classes.
    """
    rows, looks = survey.photographs.rows, survey.looks
    check_enough(survey)
    given = {rows[place].part for place in survey.readable}
    groups = [
        (_key(seed, [looks[x].digest for x in group]), [rows[x] for x in group])
        for group in survey.groups
    ]
    free, found = [], []
    for key, group in groups:
        kept = _without_leaks(group)
        parts = {row.part for row in kept}
        if "validation" in given or parts & {"validation", "test"}:
            found += [dataclasses.replace(x, part=x.part or "train") for x in kept]
        else:
            free.append((key, kept))
    return sorted([*found, *_chosen(free)], key=lambda row: row.file)


def check_enough(survey: Survey) -> None:
    """Refuses photographs that no classifier can be trained on.

    Raises:
        ValueError: nothing is readable, or there are too few images or classes.
    """
    photographs, where = survey.photographs, survey.photographs.root
    if not survey.readable:
        row, reason = survey.unreadable[0]
        raise InputError(
            f"None of the {len(photographs.rows):,} images in {where} can be read. "
            f"The first one, {row.file}: {reason}."
        )
    classes = [name for name, count in survey.counts.items() if count]
    if len(classes) < 2:
        raise InputError(
            f"{where} has only one class, {shown(classes)!r}. A classifier needs two: "
            "make a folder for each."
        )
    different = collections.Counter()
    for group in survey.groups:
        members = [photographs.rows[place] for place in group]
        different.update({label for row in members for label in row.labels})
    few = [name for name in classes if different[name] < LEAST_IN_CLASS]
    if few:
        raise InputError(
            f"{len(few):,} of the {len(classes):,} classes in {where} have fewer than "
            f"{LEAST_IN_CLASS} different images: {shown(few)}. Each needs at least "
            f"{LEAST_IN_CLASS}, better 20: add images, or remove the class."
        )
    if len(survey.groups) < LEAST:
        raise InputError(
            f"{where} has {len(survey.groups)} different images. At least {LEAST} are "
            "needed, better 20 per class."
        )


def _without_leaks(group: list[LabelledFile]) -> list[LabelledFile]:
    """A group without the training images that are also in another part."""
    parts = {row.part for row in group}
    for part in ("test", "validation"):
        if part in parts:
            return [row for row in group if row.part == part]
    return group


def _chosen(
    groups: Sequence[tuple[str, list[LabelledFile]]],
) -> list[LabelledFile]:
    """Images without a part, or with the part `train`, divided by class."""
    frequency = collections.Counter(
        label for _, group in groups for label in _labels(group)
    )
    strata = collections.defaultdict(list)
    for _, group in sorted(groups, key=lambda x: x[0]):
        # With several labels, the rarest, since each of its images counts.
        rarest = min(_labels(group), key=lambda x: (frequency[x], x), default="")
        strata[rarest].append(group)
    num = sum(len(group) for _, group in groups)
    share = min(VALIDATION_SHARE, _MOST_VALIDATION / max(num, 1))
    found = []
    for stratum in strata.values():
        held_out = _held_out(stratum, share)
        for number, group in enumerate(stratum):
            part = "validation" if number in held_out else "train"
            found += [dataclasses.replace(row, part=part) for row in group]
    return found


def _held_out(stratum: list[list[LabelledFile]], share: float) -> set[int]:
    """Numbers of the groups of a class to validate with: at least one, never all."""
    wanted, taken = max(1, round(share * sum(map(len, stratum)))), 0
    found = set()
    for number, group in enumerate(stratum[:-1]):
        if taken < wanted and taken + len(group) <= 2 * wanted:
            found.add(number)
            taken += len(group)
    if not found and len(stratum) > 1:  # All but the last are large.
        found.add(min(range(len(stratum)), key=lambda number: len(stratum[number])))
    return found


def _labels(group: list[LabelledFile]) -> list[str]:
    return sorted({label for row in group for label in row.labels})


def _key(seed: int, digests: list[str]) -> str:
    """The sort key of a group, independent of names and of the order of files."""
    return hashlib.sha256(f"{seed} {min(digests)}".encode()).hexdigest()
