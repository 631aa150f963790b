"""`export web`."""

import argparse
from collections.abc import Mapping
from typing import Any

from keras_effnetv2.export.publishing import check_target

EXAMPLE = "python -m keras_effnetv2 export web --workdir runs/smoke --output site"

# As in `keras_effnetv2.export.pages.sites`, which imports TensorFlow.
_FORMATS = ("float16", "dynamic", "float32")
_NOT_SURE_BELOW = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the appearance of the page and its parts."""
    parser.add_argument(
        "--format",
        choices=_FORMATS,
        default=_FORMATS[0],
        help="type of the weights: dynamic is half the download of float16, slower "
        f"and less exact (default: {_FORMATS[0]})",
    )
    parser.add_argument(
        "--image_size",
        type=int,
        help="side of the images, pixels (default: the model's evaluation size)",
    )
    parser.add_argument(
        "--fold",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="fold batch norms into convolutions (default: yes)",
    )
    parser.add_argument("--title", help="heading (default: the model's name)")
    parser.add_argument(
        "--examples",
        nargs="+",
        metavar="IMAGE",
        help="image files, or a folder of them, that visitors can try; they are "
        "shrunk and lose their metadata",
    )
    parser.add_argument(
        "--not_sure_below",
        type=float,
        default=_NOT_SURE_BELOW,
        metavar="SCORE",
        help="show 'not sure' if the best score is below it, 0 to 1 (default: "
        f"{_NOT_SURE_BELOW})",
    )
    parser.add_argument(
        "--runtime",
        metavar="PATH",
        help="the engine, @litertjs/core of npm: the tarball that npm pack writes, or "
        "the package's folder (default: from npm's registry, once)",
    )


def check(args: argparse.Namespace) -> None:
    """Refuses a folder that cannot be written, and invalid arguments of a page.

    Raises:
        ValueError: any of these.
    """
    check_target(args.output)  # Before TensorFlow is imported.
    from keras_effnetv2.export.pages.sites import check_options

    check_options(args.format, args.not_sure_below)


def write(model: Any, args: argparse.Namespace, source: Mapping[str, str]) -> None:
    """Writes the site, and prints its size and how to open it."""
    from keras_effnetv2 import export
    from keras_effnetv2.commands.exports.litert import run_images

    evaluation = None
    if args.workdir is not None:
        _, evaluation = run_images(args.workdir)
    options = page_options(args)
    manifest = export.web(
        model, args.output, evaluation=evaluation, **options, source=source
    )
    print_agreement(manifest)
    print(f"web page: {args.output}. To open it here:")
    print(f"python -m http.server --bind 127.0.0.1 --directory {args.output}")
    print("and then http://127.0.0.1:8000 in a browser.")


def page_options(args: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `export.web` that the flags of `add_arguments` give."""
    names = ("format", "title", "examples", "not_sure_below", "runtime", "image_size")
    names += ("fold", "classifier_activation")
    return {name: getattr(args, name) for name in names}


def print_agreement(manifest: Any) -> None:
    """Prints the size of the model's file, and how well its scores match Keras's."""
    ((name, found),) = manifest.contents["formats"].items()
    print(
        f"{name}: {found['megabytes']:.1f} MB; same best class as Keras for "
        f"{found['agreement']:.2%} of {manifest.contents['compared_on']}, scores "
        f"within {found['largest_difference']:.1e}"
    )
