"""Pictures of a page of `export web`: on a desktop and on a phone, light and dark.

    python -m keras_effnetv2 export web ... --output site
    python tools/docs/page_pictures.py site *.jpg --output docs/figures/page.jpg

Needs Chromium and its driver (`apt-get install chromium-driver`) and selenium.
"""

import argparse
import io
import os
import pathlib
import sys

from PIL import Image

sys.path.insert(0, os.fspath(pathlib.Path(__file__).parents[2]))
from tests import browsers  # noqa: E402
from tests.export.pages import sites  # noqa: E402

# Width and height in CSS pixels.
DESK, PHONE = (1040, 940), (390, 940)
_GAP = 24
_SHARE = 0.75  # Scale of both in the figure.


def take(site: pathlib.Path, photographs: list[pathlib.Path]) -> list[Image.Image]:
    """Screens of the page with results: desktop and phone, light, then dark."""
    pictures = []
    with browsers.opened("hide-scrollbars") as browser, sites.served(site) as address:
        sites.open_page(browser, address)
        sites.give(browser, *photographs)
        for scheme in ("light", "dark"):
            for size in (DESK, PHONE):
                pictures.append(_screen(browser, scheme, size))
    return pictures


def _screen(browser, scheme: str, size: tuple[int, int]) -> Image.Image:
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1}
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", metrics | {"mobile": size == PHONE}
    )
    target = "#result" if size == PHONE else "body"
    browser.execute_script(
        "scrollTo(0, document.querySelector(arguments[0]).offsetTop - 12)", target
    )
    return Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")


def side_by_side(pictures: list[Image.Image]) -> Image.Image:
    """Two rows, on gray."""
    widths = [picture.width for picture in pictures[:2]]
    height = pictures[0].height
    whole = Image.new(
        "RGB", (sum(widths) + 3 * _GAP, 2 * height + 3 * _GAP), (128, 134, 144)
    )
    for number, picture in enumerate(pictures):
        row, column = divmod(number, 2)
        x = _GAP + column * (widths[0] + _GAP)
        whole.paste(picture, (x, _GAP + row * (height + _GAP)))
    sides = (round(whole.width * _SHARE), round(whole.height * _SHARE))
    return whole.resize(sides, Image.Resampling.LANCZOS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("site", type=pathlib.Path)
    parser.add_argument("photographs", type=pathlib.Path, nargs="+")
    parser.add_argument("--output", type=pathlib.Path, required=True)
    args = parser.parse_args()
    pictures = take(args.site, [x.absolute() for x in args.photographs])
    side_by_side(pictures).save(args.output, quality=80)


if __name__ == "__main__":
    main()
