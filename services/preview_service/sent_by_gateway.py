"""Pictures that the gateway sends from the disk itself, where it says that it can (decision 0031).

nginx's X-Accel-Redirect: the answer names a file instead of holding its bytes. The gateway sets the header that asks
for it, whatever a client sent. Where it then finds no file any more, it asks again, without that header.
"""

from fastapi import Request
from prometheus_client import Counter

from services.preview_service.cache import Cache
from services.preview_service.view import Key

ASKED, REDIRECT = "X-Sendfile-Type", "X-Accel-Redirect"
PLACE = "/__pictures/"  # an internal location of the gateway, where the folder of pictures stands
# nginx would decide on these by the file's time, and end in a 412 that is not ours.
CONDITIONS = ("if-match", "if-unmodified-since")
SENT = Counter("examflow_preview_sent", "Pictures that were answered, by who sends their bytes", ["by"])


def redirect(request: Request, key: Key, size: int) -> str | None:
    """Where the gateway finds these bytes; None where they are to be sent from here."""
    place = None
    asked = request.method == "GET" and request.headers.get(ASKED) == REDIRECT
    if asked and not any(header in request.headers for header in CONDITIONS):
        cache: Cache = request.app.state.cache
        least: int = request.app.state.settings.cache.gateway_bytes
        place = cache.place_on_disk(key) if size >= least else None
    SENT.labels("gateway" if place else "service").inc()
    return PLACE + place if place else None
