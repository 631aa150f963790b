"""Writes the class names of the package, from timm's wheel.

    pip download --no-deps timm==1.0.31
    python tools/references/make_class_names.py timm-1.0.31-py3-none-any.whl

timm's data files list the WordNet IDs of ImageNet-1k, of ImageNet-21k in the order of
Google's 21,843-way classifiers, and the lemmas of each ID. These are facts of WordNet
(https://wordnet.princeton.edu). google/automl's own list, `imagenet21k_labels.txt`,
lacks a line (n03931044, n09859684 missing, n04399382 added) and is shifted by it.
"""

import argparse
import pathlib
import zipfile

FOLDER = pathlib.Path(__file__).parents[2] / "keras_effnetv2/weights/class_names"
SOURCES = {
    "imagenet": "imagenet_synsets.txt",
    "imagenet21k": "imagenet21k_goog_synsets.txt",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheel", help="timm-*.whl")
    with zipfile.ZipFile(parser.parse_args().wheel) as wheel:

        def lines(name: str) -> list[str]:
            return wheel.read(f"timm/data/_info/{name}").decode().splitlines()

        lemmas = dict(
            line.split("\t") for line in lines("imagenet_synset_to_lemma.txt")
        )
        for labels, name in SOURCES.items():
            ids = lines(name)
            text = "".join(f"{i} {first_lemma(lemmas[i])}\n" for i in ids)
            (FOLDER / f"{labels}.txt").write_text(text, encoding="utf-8")
            print(f"{labels}: {len(ids)} classes")


def first_lemma(lemmas: str) -> str:
    """`"giant panda, panda, coon bear"` -> `"giant_panda"`."""
    return lemmas.split(", ")[0].replace(" ", "_")


if __name__ == "__main__":
    main()
