"""Objects in stores that fsspec has a driver for: `s3://`, `gs://`, `abfs://`…"""

from typing import Any

import fsspec

from agents.media.blocks import BlockCache, BlockSource
from agents.media.exceptions import MediaError
from agents.media.policy import FetchPolicy
from agents.media.uris import redacted, scheme_of

# fsspec drivers that reach local files, other machines by other ways, or wrap a second URL: never for strangers.
_REFUSED = frozenset(
    {"arrow_hdfs", "asynclocal", "blockcache", "cached", "dask", "dir", "filecache", "ftp", "git", "github", "http",
     "https", "jupyter", "local", "file", "reference", "sftp", "simplecache", "smb", "ssh", "tar", "webhdfs", "zip"}
)  # fmt: skip


def open_object(uri: str, policy: FetchPolicy, cache: BlockCache) -> BlockSource:
    """Opens the object that `uri` names, with the driver options that the policy holds for its scheme.

    Raises:
        MediaError: `forbidden`, `unreachable` or `too_large`.
    """
    scheme, name = scheme_of(uri), redacted(uri)
    if scheme in _REFUSED:
        raise MediaError("forbidden", f"{name}: the scheme {scheme} is not allowed")
    try:
        store = fsspec.filesystem(scheme, **policy.storage_options.get(scheme, {}))
    except (ImportError, ValueError):
        raise MediaError("unsupported", f"no driver for {scheme}:// is installed") from None
    path = uri[len(scheme) + len("://") :]
    facts = _call(name, lambda: store.info(path))
    size = facts.get("size")
    if facts.get("type") != "file" or not isinstance(size, int):
        raise MediaError("forbidden", f"{name} is not an object with a size")
    if size > policy.max_bytes:
        raise MediaError("too_large", f"{name} has {size} bytes, over {policy.max_bytes}")
    etag = _validator(facts)

    def read(offset: int, length: int) -> bytes:
        data = _call(name, lambda: store.cat_file(path, start=offset, end=offset + length))
        if not isinstance(data, bytes) or len(data) != length:
            raise MediaError("unreachable", f"{name} changed while it was read", transient=True)
        return data

    return BlockSource(
        name,
        size,
        etag,
        read_range=read,
        cache=cache,
        cache_key=f"{uri} {size} {etag}" if etag is not None else f"{uri} {id(read)}",
        block_bytes=policy.block_bytes,
        read_ahead_bytes=policy.read_ahead_bytes,
    )


def _validator(facts: dict[str, Any]) -> str | None:
    for key in (
        "ETag",
        "etag",
        "md5Hash",
        "content_md5",
        "LastModified",
        "last_modified",
        "mtime",
        "created",
    ):
        if facts.get(key) is not None:
            return str(facts[key])
    return None


def _call(name: str, operation: Any) -> Any:
    try:
        return operation()
    except FileNotFoundError:
        raise MediaError("unreachable", f"{name} does not exist") from None
    except PermissionError:
        raise MediaError("unreachable", f"{name} may not be read with our credentials") from None
    except Exception as error:  # noqa: BLE001 - each driver raises the types of its own client library
        what = type(error).__name__
        raise MediaError("unreachable", f"{name} cannot be read ({what})", transient=True) from None
