"""Splits photographs by class, with copies together, deterministically."""

import collections
import dataclasses
import hashlib
from collections.abc import Iterable, Sequence

from keras_effnetv2.data.labelled_files import LabelledFile
from keras_effnetv2.data.printable import printable, shown
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
    matter. Copies stay together; if they are in different given parts, only those in
    the test part, or else in the validation part, are kept. Each class keeps an image
    to train on.

    Args:
        survey: survey of the photographs.
        seed: different seeds give different splits.

    Raises:
        ValueError: there are too few images or classes, or the given parts leave a
            class without training images.
    """
    rows, looks = survey.photographs.rows, survey.looks
    check_enough(survey)
    groups = [
        (
            _key(seed, [looks[x].digest for x in group]),
            _without_leaks([rows[x] for x in group]),
        )
        for group in survey.groups
    ]
    given = {row.part for _, group in groups for row in group}
    free, found = [], []
    for key, group in groups:
        parts = {row.part for row in group}
        if "validation" in given or parts & {"validation", "test"}:
            found += [dataclasses.replace(x, part=x.part or "train") for x in group]
        else:
            free.append((key, group))
    found += _chosen(free)
    _check_training(survey, found)
    return sorted(found, key=lambda row: row.file)


def check_enough(survey: Survey) -> None:
    """Refuses photographs that no classifier can be trained on.

    Raises:
        ValueError: nothing is readable, or there are too few images or classes.
    """
    photographs, where = survey.photographs, printable(survey.photographs.root)
    if not survey.readable:
        row, reason = survey.unreadable[0]
        raise InputError(
            f"None of the {len(photographs.rows):,} images in {where} can be read. "
            f"The first one, {printable(row.file)}: {reason}."
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


def _check_training(survey: Survey, found: list[LabelledFile]) -> None:
    """Refuses parts of which the training part lacks a class."""
    lacking = {*_labels(found)} - {*_labels(x for x in found if x.part == "train")}
    if not lacking:
        return
    rows = [survey.photographs.rows[place] for place in survey.readable]
    copied = lacking & {*_labels(x for x in rows if x.part in ("", "train"))}
    reasons = []
    if copied:
        reasons.append(
            f"All training images of {shown(sorted(copied))} are copies of images in "
            "another part, and are left out."
        )
    if lacking - copied:
        reasons.append(
            f"{shown(sorted(lacking - copied))}: only in the validation or test part."
        )
    raise InputError(
        f"{len(lacking):,} of the {len(_labels(found)):,} classes in "
        f"{printable(survey.photographs.root)} have no images to train on: "
        f"{shown(sorted(lacking))}. {' '.join(reasons)} Put other images of each into "
        "the training part, or remove the class from the other parts."
    )


def _without_leaks(group: list[LabelledFile]) -> list[LabelledFile]:
    """A group without the images that are also in a part further from training."""
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
    training, validation = [], []
    for stratum in strata.values():
        held_out = _held_out(stratum, share)
        for number, group in enumerate(stratum):
            (validation if number in held_out else training).append(group)
    _complete_training(training, validation)
    return [
        dataclasses.replace(row, part=part)
        for part, groups in (("train", training), ("validation", validation))
        for group in groups
        for row in group
    ]


def _complete_training(
    training: list[list[LabelledFile]], validation: list[list[LabelledFile]]
) -> None:
    """Moves groups to the training part until it has all classes.

    Images with several labels are held out as examples of the rarest, and may be the
    only ones of another.
    """
    known = {label for group in training for label in _labels(group)}
    for group in [*validation]:
        if not known.issuperset(_labels(group)):
            validation.remove(group)
            training.append(group)
            known.update(_labels(group))


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


def _labels(group: Iterable[LabelledFile]) -> list[str]:
    return sorted({label for row in group for label in row.labels})


def _key(seed: int, digests: list[str]) -> str:
    """The sort key of a group, independent of names and of the order of files."""
    return hashlib.sha256(f"{seed} {min(digests)}".encode()).hexdigest()
