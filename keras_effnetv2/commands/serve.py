"""`serve`: serves the page of a classifier on this machine, with heat maps."""

import argparse
import pathlib
import tempfile

from keras_effnetv2.commands.exports import web
from keras_effnetv2.commands.shared.arguments import check_checkpoint, check_counts
from keras_effnetv2.commands.shared.exported_models import (
    add_network_arguments,
    open_labelled_model,
)

EXAMPLE = "python -m keras_effnetv2 serve --workdir runs/smoke"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the network, the page and the address."""
    add_network_arguments(parser)
    web.add_arguments(parser)
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to serve at; any other than 127.0.0.1 lets everyone who can "
        "reach this machine use it, without encryption or passwords (default: "
        "127.0.0.1)",
    )
    parser.add_argument(
        "--port", type=int, default=8000, help="0: any free port (default: 8000)"
    )


def run(args: argparse.Namespace) -> int:
    """Serves until interrupted."""
    from keras_effnetv2 import export
    from keras_effnetv2.classification.classifying import Classifier
    from keras_effnetv2.explanation import heat_maps
    from keras_effnetv2.export.pages.sites import check_options
    from keras_effnetv2.page_server import PageServer, listen

    check_options(args.format, args.not_sure_below)
    check_checkpoint(args)
    check_counts(args, "image_size")
    heat_maps.check_modules()
    with (
        listen(args.host, args.port) as listener,
        tempfile.TemporaryDirectory() as folder,
    ):
        model, source = open_labelled_model(args)
        classifier = Classifier(model, image_size=args.image_size)
        classifier.check_explainable()
        site = pathlib.Path(folder, "site")
        export.web(model, site, **web.page_options(args), source=source)
        server = PageServer(site, classifier, listener)
        host = f"[{args.host}]" if ":" in args.host else args.host
        print(
            f"http://{host}:{server.server_port}/ in a browser; Ctrl-C stops it.",
            flush=True,
        )
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0
