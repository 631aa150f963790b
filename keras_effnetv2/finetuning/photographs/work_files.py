"""Names of the files in a work folder, by which it is known."""

import pathlib

SURVEY, SPLIT, CHOICES = "survey.json", "split.csv", "choices.json"


def is_work_folder(folder: pathlib.Path) -> bool:
    """Whether a call of `finetune` has worked in a folder, or has begun to."""
    # The split of a named dataset is no file.
    later = (SPLIT, CHOICES)
    return (folder / SURVEY).is_file() and any((folder / x).is_file() for x in later)
