"""What the upload service counts (Prometheus)."""

from prometheus_client import Counter, Gauge, Histogram

SUCCEEDED = Counter("examflow_uploads_succeeded", "Uploads answered with 2xx")
FAILED = Counter("examflow_uploads_failed", "Uploads refused or failed, by the code of the problem", ["cause"])
STORED_BYTES = Counter("examflow_upload_stored_bytes", "Bytes of files stored in Orthanc by uploads")
IN_FLIGHT = Gauge("examflow_uploads_in_flight", "Uploads that are being taken")
HELD = Gauge("examflow_upload_held_bytes", "Bytes of uploads held in this service")
STORING = Gauge("examflow_upload_storing_bytes", "Bytes of uploads on their way to Orthanc, as far as they say")
CUT = Counter("examflow_uploads_cut", "Uploads cut because they came too slowly, by the limit", ["limit"])
SECONDS = Histogram(
    "examflow_upload_seconds",
    "From the first byte of an upload's body to its confirmed event",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300),
)


def stored(size: int, seconds: float) -> None:
    """Count one upload that was stored and announced."""
    SUCCEEDED.inc()
    STORED_BYTES.inc(size)
    SECONDS.observe(seconds)
