"""`export web`."""

import argparse
from collections.abc import Mapping
from typing import Any

from keras_effnetv2.export.publishing import check_target

EXAMPLE = "python -m keras_effnetv2 export web --workdir runs/smoke --output site"

# As in `keras_effnetv2.export.pages.sites`, which takes TensorFlow to import.
_FORMATS = ("float16", "dynamic", "float32")
_NOT_SURE_BELOW = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the page looks like, and what it is made of."""
    parser.add_argument(
        "--format",
        choices=_FORMATS,
        default=_FORMATS[0],
        help="of the weights: dynamic is half of float16 to download, slower, and "
        f"further from the model (default: {_FORMATS[0]})",
    )
    parser.add_argument(
        "--image_size",
        type=int,
        help="side of the images (default: that of the model's evaluation)",
    )
    parser.add_argument(
        "--fold",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="fold batch norms into convolutions (default: yes)",
    )
    parser.add_argument("--title", help="of the page (default: the model's name)")
    parser.add_argument(
        "--examples",
        nargs="+",
        metavar="IMAGE",
        help="image files, or a folder of them, that visitors can try; they are shrunk "
        "and lose what cameras note in files",
    )
    parser.add_argument(
        "--not_sure_below",
        type=float,
        default=_NOT_SURE_BELOW,
        metavar="SCORE",
        help="best scores below it are shown as 'not sure', 0 to 1 (default: "
        f"{_NOT_SURE_BELOW})",
    )
    parser.add_argument(
        "--runtime",
        metavar="PATH",
        help="the engine, @litertjs/core of npm: the tarball that npm pack writes, or "
        "the package's folder (default: from npm's registry, once)",
    )


def check(args: argparse.Namespace) -> None:
    """Refuses a folder that cannot be written, and arguments that no page can have.

    Raises:
        ValueError: any of them.
    """
    check_target(args.output)  # Before TensorFlow is imported.
    from keras_effnetv2.export.pages.sites import check_options

    check_options(args.format, args.not_sure_below)


def write(model: Any, args: argparse.Namespace, source: Mapping[str, str]) -> None:
    """Writes the site, and says how large it is and how to open it."""
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
    """The arguments of `export.web` that the flags of `add_arguments` say."""
    names = ("format", "title", "examples", "not_sure_below", "runtime", "image_size")
    names += ("fold", "classifier_activation")
    return {name: getattr(args, name) for name in names}


def print_agreement(manifest: Any) -> None:
    """Size of the model's file, and how far its scores are those of Keras."""
    ((name, found),) = manifest.contents["formats"].items()
    print(
        f"{name}: {found['megabytes']:.1f} MB; same best class as Keras for "
        f"{found['agreement']:.2%} of {manifest.contents['compared_on']}, scores "
        f"within {found['largest_difference']:.1e}"
    )
