"""Looking at uploaded bytes before they are planned: reach them, hash them, tell what they are."""

from dataclasses import dataclass

from agents.decoders import Decoders
from agents.media.decoder import SandboxPolicy
from agents.media.exceptions import MediaError
from agents.media.fetch import Fetcher
from agents.media.source import MediaSource, sha256
from agents.runtime.metrics import Metrics
from schemas.media import MediaInfo, MediaRef, MediaUpload


@dataclass(frozen=True, slots=True)
class Inspected:
    """What uploaded bytes turned out to be."""

    info: MediaInfo
    moving: bool
    key_frames_ms: tuple[int, ...]


class Inspector:
    """Opens, hashes and probes uploads. Thread-safe between `open` and `close`."""

    def __init__(
        self, fetcher: Fetcher, sandbox: SandboxPolicy, metrics: Metrics, *, trust_declared_sha256: bool
    ) -> None:
        self._fetcher = fetcher
        self._decoders = Decoders(sandbox, metrics)
        self._metrics = metrics
        self._trust = trust_declared_sha256

    def inspect(self, upload: MediaUpload) -> Inspected:
        """Return what the upload's bytes are.

        Raises:
            MediaError: they cannot be had, cannot be read, or are of a kind that is not examined.
        """
        with self._fetcher.open(upload.media.uri) as source:
            try:
                # The probe reads little and refuses most of what is bad: it goes before the hash.
                with self._decoders.use() as decoders:
                    probe = decoders.probe(source)
                if probe.kind == "audio":
                    raise MediaError("unsupported", f"{probe.codec} audio without a picture")
                checksum = self._checksum(source, upload.media)
            finally:
                scheme = upload.media.uri.partition(":")[0]
                self._metrics.media_bytes_read.labels(scheme).inc(source.bytes_read)
            info = MediaInfo.model_validate(
                {
                    "sha256": checksum,
                    "size_bytes": source.size,
                    "etag": source.etag or "",
                    "container": probe.container,
                    "codec": probe.codec,
                    "width": probe.width,
                    "height": probe.height,
                    "rotation": probe.rotation,
                    "duration_s": probe.duration_s,
                    "fps": probe.fps,
                }
            )
        return Inspected(info, probe.kind == "video", probe.key_frames_ms)

    def _checksum(self, source: MediaSource, media: MediaRef) -> str:
        if media.sha256 is not None and self._trust:
            return media.sha256
        found = sha256(source)
        if media.sha256 is not None and media.sha256 != found:
            raise MediaError("unreachable", "the bytes there do not have the declared sha256")
        return found

    def open(self) -> None:
        """Start the decoder processes."""
        self._decoders.open()

    def close(self) -> None:
        """Stop them, and close connections."""
        self._decoders.close()
        self._fetcher.close()
