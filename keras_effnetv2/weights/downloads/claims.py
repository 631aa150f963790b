"""What servers say of a file before they send it: its size, its hash."""

import base64
import binascii
import dataclasses
import email.message
import re


@dataclasses.dataclass(frozen=True)
class Claims:
    """What a server says of a file; None where it says nothing.

    Attributes:
        size: bytes.
        md5: hexadecimal.
    """

    size: int | None
    md5: str | None


def read_claims(headers: email.message.Message, start: int = 0) -> Claims:
    """The claims in the headers of an answer, in whichever form servers send them.

    Args:
        headers: of the answer.
        start: of the file, that the answer has not.
    """
    length = headers.get("Content-Length") or ""
    size = start + int(length) if length.isdecimal() else None
    if start:  # That hash is of what an answer holds.
        del headers["Content-MD5"]
    return Claims(size, _claimed_md5(headers))


def _claimed_md5(headers: email.message.Message) -> str | None:
    """The file's MD5 as servers of buckets and others send it, None without.

    Sources: https://cloud.google.com/storage/docs/xml-api/reference-headers
    (x-goog-hash), RFC 1864 (Content-MD5), and the ETag of objects in the buckets of
    Google and Amazon.
    """
    stored_as = headers.get("x-goog-stored-content-encoding", "identity")
    if stored_as == "identity":  # Otherwise the hash is of the compressed file.
        hashes = ",".join(headers.get_all("x-goog-hash", []))
        if found := re.search(r"\bmd5=([\w+/]{22}==)", hashes):
            return _hexadecimal(found[1])
    if digest := _hexadecimal(headers.get("Content-MD5", "")):
        return digest
    # The ETag of an encrypted object looks the same, and is no MD5.
    is_encrypted = any(
        name.lower().startswith("x-amz-server-side-encryption") and value != "AES256"
        for name, value in headers.items()
    )
    tag = re.fullmatch(r'"([0-9a-f]{32})"', headers.get("ETag", ""))
    return tag[1] if tag and not is_encrypted and stored_as == "identity" else None


def _hexadecimal(digest: str) -> str | None:
    """An MD5 in base64 as hexadecimal text, None if it is none."""
    try:
        decoded = base64.b64decode(digest, validate=True)
    except binascii.Error:
        return None
    return decoded.hex() if len(decoded) == 16 else None
