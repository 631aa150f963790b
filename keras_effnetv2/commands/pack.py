"""`pack`: packs folders of images into shards that are fast to read."""

import argparse

from keras_effnetv2.commands.shared.arguments import add_engine_argument, check_counts

EXAMPLE = (
    "python -m keras_effnetv2 pack photographs datasets/photographs --image_size 512"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the images, the output and the options."""
    parser.add_argument(
        "folder",
        metavar="FOLDER",
        help="has a folder for each class, or for each split with one for each class",
    )
    parser.add_argument(
        "output",
        metavar="OUT",
        help="new folder; after an interruption, the same command resumes",
    )
    parser.add_argument(
        "--image_size",
        type=int,
        metavar="N",
        help="shrink images whose shorter side is longer, pixels (default: none)",
    )
    parser.add_argument(
        "--shards",
        type=int,
        metavar="N",
        help="shards of the largest split (default: one for every 1,000 images)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the order of images (default: 0)"
    )
    parser.add_argument(
        "--train_split",
        metavar="NAME",
        default="train",
        help="split whose folders are the classes (default: train)",
    )
    parser.add_argument(
        "--processes",
        type=int,
        metavar="N",
        help="processes on this machine (default: one for each processor)",
    )
    add_engine_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Packs the images; prints how many there are, and how many are damaged."""
    check_counts(args, "image_size", "shards", "processes")
    from keras_effnetv2.data.packing.manifest import DAMAGED
    from keras_effnetv2.data.packing.packing import pack
    from keras_effnetv2.data.printable import printable

    found = pack(
        args.folder,
        args.output,
        image_size=args.image_size,
        num_shards=args.shards,
        seed=args.seed,
        train_split=args.train_split,
        engine=args.engine,
        processes=args.processes,
    )
    folder = printable(found.folder)
    counts = ", ".join(f"{num:,} {split}" for split, num in found.num_images.items())
    print(f"{folder}: {counts} images in {found.num_shards:,} shards")
    if found.damaged:
        print(
            f"{len(found.damaged):,} damaged images are left out, and listed in "
            f"{folder}/{DAMAGED}."
        )
    return 0
