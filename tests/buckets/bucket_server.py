"""A bucket on this machine, which TensorFlow's own `gs://` file system talks to.

The server speaks what TensorFlow's client asks of Google Cloud Storage: lists,
metadata, reads of ranges, resumable uploads, rewrites and deletions. The client is
TensorFlow's, unchanged: its variables of the environment lead it through a proxy that
is this server, and have it trust this server's certificate. So `tf.io.gfile`, `tf.data`
and whatever is built on them work on `gs://NAME/...`:

    with BucketServer({"data": folder, "runs": None}) as server:
        subprocess.run([..., "gs://data/train*"], env=os.environ | server.environment)
        print(server.counts().requests)

The variables must be there when a process first uses `gs://`: give them to a process of
its own (`subprocess`, `tests.forked.Process`). Tests in pytest's process can set them
too (`use`), as the proxy and the certificate are looked up for each request; but the
client keeps sizes of objects for 5 s, so each server of a process needs other names of
buckets.

Each request waits `latency` seconds, then each stream has `bandwidth` bytes a second,
as if it came from far; the server is a process of its own, so that what it computes
does not hold the client's threads. All of it can be changed while it runs (`change`):
no rights, failures now and then, and uploads that never end, for kills in the middle of
one. A bucket that was not named does not exist. A folder given for a bucket is read
where it lies, as it is at the start, and never written; uploads stay in memory.
"""

import contextlib
import http.client
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.parse
from collections.abc import Mapping
from typing import Any

from tests.buckets.storage import Counts

_ROOT = pathlib.Path(__file__).parents[2]


class BucketServer:
    """Starts the server and ends it, as a context.

    Args:
        buckets: their names, each with a local folder whose files it holds or None.
        **settings: of `Settings`.
    """

    def __init__(
        self, buckets: Mapping[str, str | os.PathLike | None], **settings: Any
    ) -> None:
        folders = {x: y and os.path.abspath(y) for x, y in buckets.items()}
        self._start = json.dumps({"buckets": folders, "settings": settings})
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "BucketServer":
        folder = self._stack.enter_context(tempfile.TemporaryDirectory())
        self._certificate = pathlib.Path(folder, "certificate.pem")
        module = "tests.buckets.process"
        arguments = [sys.executable, "-m", module, "--folder", folder]
        # It ends when its input does, so also when this process is killed.
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
        )
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)
        assert process.stdin
        assert process.stdout
        self._stack.enter_context(process.stdin)
        self._stack.enter_context(process.stdout)
        process.stdin.write(self._start + "\n")
        process.stdin.flush()
        self.port = int(process.stdout.readline())
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def environment(self) -> dict[str, str]:
        """What makes TensorFlow's `gs://` reach this server."""
        proxy = f"http://127.0.0.1:{self.port}"
        return {
            "HTTPS_PROXY": proxy,
            "https_proxy": proxy,
            "NO_PROXY": "localhost,127.0.0.1",  # Of other workers, say.
            "no_proxy": "localhost,127.0.0.1",
            "CURL_CA_BUNDLE": str(self._certificate),
            "GOOGLE_AUTH_TOKEN_FOR_TESTING": "a-token",  # Else it looks for one.
            "NO_GCE_CHECK": "true",
            "GCS_RETRY_CONFIG_INIT_DELAY_TIME_US": "10000",
            "GCS_RETRY_CONFIG_MAX_DELAY_TIME_US": "100000",
        }

    def use(self, monkeypatch: Any) -> None:
        """Has this process reach the server, until pytest's `monkeypatch` is undone."""
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)

    def change(self, **settings: Any) -> None:
        """Sets some of `Settings`."""
        self._ask("PUT", "/settings", json.dumps(settings).encode())

    def counts(self) -> Counts:
        """What has been asked for so far."""
        return Counts(**json.loads(self._ask("GET", "/counts")))

    def reset_counts(self) -> None:
        """Begins to count anew."""
        self._ask("DELETE", "/counts")

    def names(self, bucket: str) -> list[str]:
        """The objects of a bucket, sorted."""
        return json.loads(self._ask("GET", f"/objects/{bucket}"))

    def read(self, bucket: str, name: str) -> bytes:
        """An object, at once and uncounted."""
        return self._ask("GET", f"/objects/{bucket}/{urllib.parse.quote(name)}")

    def put(self, bucket: str, name: str, contents: bytes) -> None:
        """Makes an object, or another in its place, at once and uncounted."""
        path = f"/objects/{bucket}/{urllib.parse.quote(name)}"
        self._ask("PUT", path, contents)

    def remove(self, bucket: str, name: str) -> None:
        """Removes an object, at once and uncounted."""
        self._ask("DELETE", f"/objects/{bucket}/{urllib.parse.quote(name)}")

    def _ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        with contextlib.closing(connection):
            connection.request(method, path, body)
            response = connection.getresponse()
            answer = response.read()
        if response.status != http.HTTPStatus.OK:
            raise KeyError(f"{method} {path}: {response.status}")
        return answer
