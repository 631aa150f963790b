"""Files without a published hash: what servers say of them, and what is remembered."""

import json

import pytest

from keras_effnetv2.weights.downloads import download, https
from tests.weights.downloads.bad_server import CONTENT

pytestmark = pytest.mark.usefixtures("quick_and_alone")


def fetch(server, behaviour):
    url = f"http://127.0.0.1:{server.server_port}/{behaviour}/a.tgz"
    return download.fetch(url, None, "a.tgz")


def put_in_cache(tmp_path, contents):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.tgz").write_bytes(contents)


@pytest.mark.parametrize(
    "behaviour",
    ["good", "goog", "content_nonsense", "etag", "weak_etag", "encrypted", "unzipped"],
)
def test_what_is_as_the_server_says_arrives(server, behaviour):
    assert fetch(server, behaviour).read_bytes() == CONTENT
    assert len(server.paths) == 1


@pytest.mark.parametrize("behaviour", ["goog_wrong", "content_wrong", "etag_wrong"])
def test_another_file_than_the_server_says_is_refused(server, tmp_path, behaviour):
    with pytest.raises(ConnectionError, match="the server says that it has"):
        fetch(server, behaviour)
    assert len(server.paths) == https.NUM_ATTEMPTS
    assert not [x for x in (tmp_path / "models").iterdir() if x.is_file()]


def test_a_cached_file_is_taken_without_asking(server):
    path = fetch(server, "goog")
    assert fetch(server, "goog") == path
    assert len(server.paths) == 1
    assert server.heads == []


@pytest.mark.parametrize("changed", [CONTENT[:-1] + b"!", CONTENT[:-1], b""])
def test_a_cached_file_that_has_changed_is_downloaded_again(server, caplog, changed):
    fetch(server, "good").write_bytes(changed)
    assert fetch(server, "good").read_bytes() == CONTENT
    assert len(server.paths) == 2
    assert "downloading it again" in caplog.text


def test_a_changed_file_is_not_used_where_it_cannot_be_downloaded(server):
    fetch(server, "good").write_bytes(b"changed")
    with pytest.raises(ConnectionError, match="404"):
        fetch(server, "missing")


def test_a_file_of_unknown_origin_stays_if_the_server_has_the_same(server, tmp_path):
    put_in_cache(tmp_path, CONTENT)
    assert fetch(server, "goog").read_bytes() == CONTENT
    assert fetch(server, "goog").read_bytes() == CONTENT
    assert (len(server.heads), len(server.paths)) == (1, 0)


@pytest.mark.parametrize("found", [CONTENT[:-1] + b"!", CONTENT + b"!"])
def test_a_file_of_unknown_origin_goes_if_the_server_has_another(
    server, tmp_path, found
):
    put_in_cache(tmp_path, found)
    assert fetch(server, "etag").read_bytes() == CONTENT


def test_a_file_put_there_by_hand_is_used_without_a_network(tmp_path, caplog):
    put_in_cache(tmp_path, CONTENT)
    path = download.fetch("https://unreachable.invalid/a.tgz", None, "a.tgz")
    assert path.read_bytes() == CONTENT
    assert "is used unverified" in caplog.text


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"size": "x"}', b"\xff"])
def test_a_damaged_memory_of_a_file_is_made_anew(server, tmp_path, damage):
    path = fetch(server, "goog")
    origin = tmp_path / "models" / "a.tgz.origin.json"
    whole = json.loads(origin.read_bytes())
    origin.write_bytes(damage)
    assert fetch(server, "goog") == path
    assert json.loads(origin.read_bytes()) == whole
