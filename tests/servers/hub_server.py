"""A Hugging Face Hub on this machine: repositories in memory, by the Hub's protocol.

What huggingface_hub asks of it: metadata and files of a revision, large files from
another host, and commits with their uploads. Source: that library, 2.4.
"""

import base64
import contextlib
import hashlib
import http.server
import json
import re

from tests.servers import local_servers

TOKEN = "hf_secret"
_LARGE = (".safetensors", ".bin")
_RESOLVE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
_MODEL = re.compile(r"/api/models/([^/]+/[^/]+)(/[a-z-]+/([^/]+))?")


class Hub:
    """The repositories.

    Attributes:
        private: names of those that need `TOKEN`.
        requests: `(method, path, token)`, in order; of the large files' host, too.
        breaks: large answers that stop half-way, before others are whole.
    """

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"
        self.files_url = f"http://localhost:{port}/files"  # Another host.
        self.commits, self.branches = {}, {}
        self.private, self.requests, self.large = set(), [], {}
        self.breaks = 0

    def commit(self, repository, files, branch="main"):
        """Adds files to a branch; returns the commit."""
        files = self.files(repository, branch) | files
        names = "".join(f"{x}{hashlib.sha1(y).hexdigest()}" for x, y in files.items())
        commit = hashlib.sha1(f"{repository}{branch}{names}".encode()).hexdigest()
        self.commits[repository, commit] = files
        self.branches[repository, branch] = commit
        return commit

    def files(self, repository, revision="main"):
        """Name to bytes, of a branch or commit."""
        commit = self.branches.get((repository, revision), revision)
        return self.commits.get((repository, commit), {})

    def has(self, repository):
        return any(name == repository for name, _ in self.branches)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        hub = self.note()
        if self.path.startswith("/files/"):
            return self.send_large(hub.large[self.path.removeprefix("/files/")])
        if match := _RESOLVE.fullmatch(self.path):
            return self.resolve(*match.groups())
        match = _MODEL.fullmatch(self.path)
        if match and self.may_see(match[1]):
            commit = hub.branches[match[1], match[3] or "main"]
            names = [{"rfilename": x} for x in hub.files(match[1], commit)]
            answer = {"id": match[1], "sha": commit, "siblings": names}
            return self.send_json(answer)

    def do_POST(self):
        hub, body = self.note(), self.body()
        if self.path == "/api/validate-yaml":
            return self.send_json({"errors": [], "warnings": []})
        if self.token() != TOKEN:
            return self.fail(401, None, "Invalid username or password.")
        if self.path == "/api/repos/create":
            wanted = json.loads(body)
            name = f"{wanted['organization']}/{wanted['name']}"
            if hub.has(name):
                return self.send_json({"url": f"{hub.url}/{name}"}, 409)
            hub.commit(name, {})
            return self.send_json({"url": f"{hub.url}/{name}"})
        if self.path.endswith(".git/info/lfs/objects/batch"):
            return self.send_batch(json.loads(body)["objects"])
        match = _MODEL.fullmatch(self.path)
        if not self.may_see(match[1]):
            return None
        if "/preupload/" in self.path:
            files = [
                {
                    "path": x["path"],
                    "uploadMode": "lfs" if x["path"].endswith(_LARGE) else "regular",
                    "shouldIgnore": False,
                }
                for x in json.loads(body)["files"]
            ]
            return self.send_json({"files": files})
        return self.take_commit(match[1], match[3], body)

    def do_PUT(self):
        hub, body = self.note(), self.body()
        assert hashlib.sha256(body).hexdigest() == self.path.removeprefix("/files/")
        hub.large[self.path.removeprefix("/files/")] = body
        self.send(200, b"")

    def take_commit(self, repository, branch, body):
        files = {}
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.server.hub.large[value["oid"]]
        commit = self.server.hub.commit(repository, files, branch)
        url = f"{self.server.hub.url}/{repository}/commit/{commit}"
        self.send_json({"commitUrl": url, "commitOid": commit})

    def send_batch(self, objects):
        for x in objects:
            href = f"{self.server.hub.files_url}/{x['oid']}"
            x["actions"] = {"upload": {"href": href}}
        self.send_json({"transfer": "basic", "objects": objects})

    def resolve(self, repository, revision, name):
        if not self.may_see(repository):
            return None
        hub, revision = self.server.hub, revision.replace("%2F", "/")
        commit = hub.branches.get((repository, revision), revision)
        if (repository, commit) not in hub.commits:
            return self.fail(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        headers = {"X-Repo-Commit": commit}
        contents = hub.files(repository, commit).get(name)
        if contents is None:
            return self.fail(404, "EntryNotFound", "Entry not found", headers)
        if not name.endswith(_LARGE):
            tag = hashlib.sha1(contents).hexdigest()
            return self.send(200, contents, {"ETag": f'"{tag}"', **headers})
        oid = hashlib.sha256(contents).hexdigest()
        hub.large[oid] = contents
        headers |= {
            "Location": f"{hub.files_url}/{oid}",
            "X-Linked-Size": str(len(contents)),
            "X-Linked-Etag": f'"{oid}"',
        }
        return self.send(302, b"", headers)

    def send_large(self, contents):
        start = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "bytes=0-")
        part = contents[int(start[1]) :]
        place = f"bytes {start[1]}-{len(contents) - 1}/{len(contents)}"
        status = 206 if "Range" in self.headers else 200
        headers = {"Content-Range": place} if status == 206 else {}
        if self.server.hub.breaks and self.command == "GET":
            self.server.hub.breaks -= 1
            headers["Content-Length"] = str(len(part))
            part = part[: len(part) // 2]
            self.close_connection = True
        self.send(status, part, headers)

    def may_see(self, repository):
        """Answers for what is not there, or not for everybody, as the Hub does."""
        hub = self.server.hub
        if hub.has(repository) and (
            repository not in hub.private or self.token() == TOKEN
        ):
            return True
        self.fail(401, "RepoNotFound", "Repository not found")
        return False

    def token(self):
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ")

    def note(self):
        hub = self.server.hub
        hub.requests.append((self.command, self.path, self.token()))
        return hub

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def fail(self, status, code, message, headers=None):
        named = {"X-Error-Code": code} if code else {}
        headers = {**named, "X-Error-Message": message, **(headers or {})}
        self.send(status, json.dumps({"error": message}).encode(), headers)

    def send_json(self, answer, status=200):
        headers = {"Content-Type": "application/json"}
        self.send(status, json.dumps(answer).encode(), headers)

    def send(self, status, contents, headers=None):
        self.send_response(status)
        for name, value in {
            "Content-Length": str(len(contents)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(contents)

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def running():
    """An empty Hub."""
    with local_servers.running(Handler) as server:
        server.hub = Hub(server.server_port)
        yield server.hub


def environment(hub, folder):
    """What lets huggingface_hub, when it is imported, ask this one."""
    return {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(folder),
        "HF_HUB_DISABLE_XET": "1",  # A protocol of its own.
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "no_proxy": "*",
    }


def use(hub, folder, monkeypatch):
    """The same where it has been imported."""
    from huggingface_hub import constants

    changed = {
        "ENDPOINT": hub.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": (
            hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        ),
        "HF_HUB_CACHE": str(folder / "hub"),
        "HF_TOKEN_PATH": str(folder / "token"),
        "HF_STORED_TOKENS_PATH": str(folder / "stored_tokens"),
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_OFFLINE": False,
    }
    for name, value in changed.items():
        monkeypatch.setattr(constants, name, value)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "KERAS_EFFNETV2_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "*")
