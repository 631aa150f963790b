"""What servers claim about a file before they send it: its size and hash."""

import base64
import binascii
import dataclasses
import email.message
import re


@dataclasses.dataclass(frozen=True)
class Claims:
    """What a server claims about a file; None if it claims nothing.

    Attributes:
        size: bytes.
        md5: hexadecimal.
    """

    size: int | None
    md5: str | None


def read_claims(headers: email.message.Message, start: int = 0) -> Claims:
    """The claims in the headers of a response, in any of the forms servers use.

    Args:
        headers: headers of the response.
        start: number of bytes missing at the start of the response.
    """
    length = headers.get("Content-Length") or ""
    size = start + int(length) if length.isdecimal() else None
    if start:  # That hash is of the response's contents.
        del headers["Content-MD5"]
    return Claims(size, _claimed_md5(headers))


def _claimed_md5(headers: email.message.Message) -> str | None:
    """The file's MD5 as bucket servers and others send it; None without one.

    Sources: https://cloud.google.com/storage/docs/xml-api/reference-headers
    (x-goog-hash), RFC 1864 (Content-MD5), and the ETag of objects in the buckets of
    Google and Amazon.
    """
    stored_as = headers.get("x-goog-stored-content-encoding", "identity")
    if stored_as == "identity":  # Otherwise it is the compressed file's hash.
        hashes = ",".join(headers.get_all("x-goog-hash", []))
        if found := re.search(r"\bmd5=([\w+/]{22}==)", hashes):
            return _hexadecimal(found[1])
    if digest := _hexadecimal(headers.get("Content-MD5", "")):
        return digest
    # The ETag of an encrypted object looks the same, but is not an MD5.
    is_encrypted = any(
        name.lower().startswith("x-amz-server-side-encryption") and value != "AES256"
        for name, value in headers.items()
    )
    tag = re.fullmatch(r'"([0-9a-f]{32})"', headers.get("ETag", ""))
    return tag[1] if tag and not is_encrypted and stored_as == "identity" else None


def _hexadecimal(digest: str) -> str | None:
    """An MD5 in base64 as hexadecimal text; None if it is not one."""
    try:
        decoded = base64.b64decode(digest, validate=True)
    except binascii.Error:
        return None
    return decoded.hex() if len(decoded) == 16 else None
