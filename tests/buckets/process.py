"""The process that is the server: `python -m tests.buckets.process --folder DIR`."""

import argparse
import json
import pathlib
import ssl
import subprocess
import sys
import threading

from tests.buckets.connections import HOSTS, Server
from tests.buckets.requests import Handler
from tests.buckets.storage import Settings, Storage


def _make_certificate(folder: pathlib.Path) -> ssl.SSLContext:
    """A certificate of the storage's hosts that vouches for itself, and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    names = ",".join(f"DNS:{x}" for x in HOSTS)
    command = ["openssl", "req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"]
    command += ["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=tests"]
    command += ["-addext", f"subjectAltName={names}"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def main() -> None:
    """Serves until the input ends; prints the port."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    folder = parser.parse_args().folder
    start = json.loads(sys.stdin.readline())
    storage = Storage(start["buckets"], Settings(**start["settings"]))
    server = Server(storage, _make_certificate(folder), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
