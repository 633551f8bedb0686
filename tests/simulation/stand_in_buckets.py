"""S3 in memory: buckets with versions or without, whole objects, ranges, and links that name what they lead to."""

# ruff: noqa: N803 - the parameters are named as AWS names them

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from tests.simulation.stand_in_errors import client_error
from tests.simulation.stand_ins import NONE


@dataclass(frozen=True)
class StoredObject:
    """One object of a bucket."""

    content: bytes
    content_type: str = "binary/octet-stream"
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def etag(self) -> str:
        """The MD5 of the content, as S3 gives it for what is put at once."""
        return hashlib.md5(self.content).hexdigest()  # noqa: S324 - S3's own ETag


class Buckets:
    """S3; `versioned`: the buckets that keep each version of an object."""

    def __init__(self, *names: str) -> None:
        self._names = names
        self.versioned: set[str] = set()
        self.objects: dict[tuple[str, str], StoredObject] = {}
        self._versions: dict[tuple[str, str, str], StoredObject] = {}

    def put_object(
        self,
        *,
        Bucket: str,
        Key: str,
        Body: Any,
        ContentType: str = "binary/octet-stream",
        Metadata: Mapping[str, str] = NONE,
    ) -> dict[str, Any]:
        """Put an object whole."""
        self._know(Bucket)
        content = Body if isinstance(Body, bytes) else Body.read()
        stored = self.objects[Bucket, Key] = StoredObject(content, ContentType, dict(Metadata))
        answer = {"ETag": f'"{stored.etag}"'}
        if Bucket not in self.versioned:
            return answer
        version = f"version-{len(self._versions) + 1}"
        self._versions[Bucket, Key, version] = stored
        return answer | {"VersionId": version}

    def get_object(
        self, *, Bucket: str, Key: str, Range: str | None = None, VersionId: str | None = None
    ) -> dict[str, Any]:
        """Read an object, or one version of it, or its first bytes."""
        self._know(Bucket)
        found = self.objects.get((Bucket, Key)) if VersionId is None else self._versions.get((Bucket, Key, VersionId))
        if found is None:
            raise client_error("NoSuchKey" if VersionId is None else "NoSuchVersion", "GetObject")
        content, more = found.content, {}
        if Range is not None:
            first, last = (int(part) for part in Range.removeprefix("bytes=").split("-"))
            if first >= len(content):
                raise client_error("InvalidRange", "GetObject")
            part = content[first : last + 1]
            more = {"ContentRange": f"bytes {first}-{first + len(part) - 1}/{len(content)}"}
            content = part
        body = {"Body": io.BytesIO(content), "ContentLength": len(content), "ContentType": found.content_type}
        return {**body, "ETag": f'"{found.etag}"', "Metadata": dict(found.metadata), **more}

    def generate_presigned_url(self, name: str, *, Params: Mapping[str, str], ExpiresIn: int) -> str:
        """A link that names the object; nobody here checks its signature, though a log line must not hold it."""
        if name != "get_object":
            raise AssertionError(f"the code under test makes links to read objects, and none to {name}")
        place = f"https://{Params['Bucket']}.s3.amazonaws.com/{quote(Params['Key'])}"
        version = f"&versionId={Params['VersionId']}" if "VersionId" in Params else ""
        return f"{place}?X-Amz-Expires={ExpiresIn}{version}&X-Amz-Signature=signed"

    def _know(self, bucket: str) -> None:
        if bucket not in self._names:
            raise client_error("NoSuchBucket", "GetObject")


def linked(url: str) -> dict[str, str]:
    """What a presigned link leads to, as parameters of `get_object`."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    version = {"VersionId": query["versionId"]} if "versionId" in query else {}
    return {"Bucket": (parts.hostname or "").partition(".")[0], "Key": unquote(parts.path[1:]), **version}
