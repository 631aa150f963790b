"""Milliseconds per picture in Chromium: the page's engines, and TensorFlow.js.

    python tools/benchmark_pages.py SITE [SITE ...]
    python tools/benchmark_pages.py SITE --graph_model FOLDER --tfjs FOLDER
        [--json FILE]

Times are medians of `--runs` on one decoded picture; the first result counts from an
empty page, with files from this machine and no cache. TensorFlow.js 4.22 runs a graph
model that its own converter wrote from a SavedModel of the same network, on its
WebAssembly backend; `--tfjs` is `node_modules/@tensorflow` with tfjs-core, -converter,
-backend-cpu and -backend-wasm.
"""

import argparse
import json
import os
import pathlib
import shutil
import sys
import tempfile
from typing import Any

from tables.comparison_rows import PAGE_THREADS, page_table
from tables.result_files import write_results

sys.path.insert(0, os.fspath(pathlib.Path(__file__).parents[1]))
from tests import browsers  # noqa: E402
from tests.export.pages import sites  # noqa: E402

_PATIENCE = 600

_LITERT = """
const [kind, runs, done] = arguments;
(async () => {
  const start = performance.now();
  const manifest = await (await fetch("/model.json")).json();
  const { Engine } = await import("/page/engine.js");
  history.replaceState(null, "", `?engine=${kind}`);
  const engine = new Engine();
  const size = manifest.preprocessing.image_size;
  const canvas = new OffscreenCanvas(size, size);
  canvas.getContext("2d").fillRect(9, 9, 99, 99);
  const blob = await canvas.convertToBlob();
  await engine.open(manifest, () => {});
  await engine.classify(blob);
  const first = performance.now() - start;
  const times = [];
  for (let i = 0; i < runs; i++) {
    times.push((await engine.classify(blob)).times.network);
  }
  engine.close();
  return { first, times };
})().then(done, (error) => done(String(error)));
"""
_TFJS = """
const [kind, runs, size, done] = arguments;
(async () => {
  const start = performance.now();
  for (const name of ["tf-core", "tf-backend-cpu", "tf-converter", "tf-backend-wasm"]) {
    await new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = `/tfjs/${name}.min.js`;
      script.onload = resolve;
      script.onerror = reject;
      document.head.append(script);
    });
  }
  tf.wasm.setWasmPaths("/tfjs/");
  tf.wasm.setThreadsCount(kind === "threads" ? navigator.hardwareConcurrency : 1);
  await tf.setBackend("wasm");
  const model = await tf.loadGraphModel("/graph_model/model.json");
  const images = tf.fill([1, size, size, 3], 128);
  const run = async () => {
    const outputs = await model.executeAsync({ [model.inputs[0].name]: images });
    const tensors = Array.isArray(outputs) ? outputs : [outputs];
    await tensors[0].data();
    tensors.forEach((x) => x.dispose());
  };
  await run();
  const first = performance.now() - start;
  const times = [];
  for (let i = 0; i < runs; i++) {
    const before = performance.now();
    await run();
    times.push(performance.now() - before);
  }
  return { first, times };
})().then(done, (error) => done(String(error)));
"""


def measure(
    folder: pathlib.Path, script: str, kind: str, *values: int
) -> tuple[float, float]:
    """Milliseconds per picture, and until the first result, in a separate browser."""
    with (
        browsers.opened() as browser,
        sites.served(folder, kind == "threads") as address,
    ):
        browser.set_script_timeout(_PATIENCE)
        browser.get(f"{address}empty.html")
        found = browser.execute_async_script(script, kind, *values)
    if isinstance(found, str):
        raise RuntimeError(f"{folder}, {kind}: {found}")
    times = sorted(found["times"])
    return times[len(times) // 2], found["first"]


def page_weight(site: pathlib.Path, kind: str) -> float:
    """Megabytes that a first visit loads, without the examples."""
    build = "threaded_internal" if kind == "threads" else "internal"
    paths = [*site.glob("*.*"), *site.glob("page/*"), site / "runtime" / "litert.js"]
    paths += site.glob(f"runtime/litert_wasm_{build}.*")
    kept = (x for x in paths if x.suffix not in (".md", ".txt"))
    return sum(x.stat().st_size for x in kept) / 1e6


def lay_out(
    scratch: pathlib.Path, graph_model: pathlib.Path, tfjs: pathlib.Path
) -> float:
    """Puts TensorFlow.js and its model into a folder; megabytes of one build."""
    shutil.copytree(graph_model, scratch / "graph_model")
    (scratch / "tfjs").mkdir()
    for path in tfjs.glob("tfjs-*/dist/*"):
        if path.name.endswith((".min.js", ".wasm")):
            shutil.copy(path, scratch / "tfjs")
    names = ("tf-core", "tf-backend-cpu", "tf-converter", "tf-backend-wasm")
    paths = [scratch / "tfjs" / f"{name}.min.js" for name in names]
    paths += [scratch / "tfjs" / "tfjs-backend-wasm-simd.wasm"]
    paths += (scratch / "graph_model").iterdir()
    return sum(x.stat().st_size for x in paths) / 1e6


def measure_kind(
    args: argparse.Namespace, folder: pathlib.Path, kind: str
) -> list[dict[str, Any]]:
    """A row for each site, and for TensorFlow.js with the network of the first."""
    rows = []
    for site in args.sites:
        scratch = folder / site.name
        shutil.copytree(site, scratch)
        (scratch / "empty.html").write_text("<!doctype html><title>x</title>")
        times = measure(scratch, _LITERT, kind, args.runs)
        rows.append(_row(site, "LiteRT.js", kind, times, page_weight(site, kind)))
    if args.graph_model is not None and args.tfjs is not None:
        site = args.sites[0]
        scratch = folder / site.name
        weight = lay_out(scratch, args.graph_model, args.tfjs)
        manifest = json.loads((site / "model.json").read_text())
        size = manifest["preprocessing"]["image_size"]
        times = measure(scratch, _TFJS, kind, args.runs, size)
        rows.append(_row(site, "TensorFlow.js", kind, times, weight))
    return rows


def _row(
    site: pathlib.Path,
    engine: str,
    kind: str,
    times: tuple[float, float],
    megabytes: float,
) -> dict[str, Any]:
    name = json.loads((site / "model.json").read_text())["name"]
    row = {"network": name, "engine": engine, "kind": kind, "megabytes": megabytes}
    row |= {"threads": os.cpu_count() if kind == "threads" else 1}
    row |= {"picture_ms": times[0], "first_ms": times[1]}
    print(row, file=sys.stderr, flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sites", type=pathlib.Path, nargs="+")
    parser.add_argument(
        "--graph_model", type=pathlib.Path, help="TensorFlow.js model of the first site"
    )
    parser.add_argument("--tfjs", type=pathlib.Path)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="of results")
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in PAGE_THREADS:
            rows += measure_kind(args, pathlib.Path(folder, kind), kind)
    if args.json:
        write_results(args.json, rows)
    print(page_table(rows))


if __name__ == "__main__":
    main()
