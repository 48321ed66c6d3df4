"""Where PostgreSQL is, as its driver takes it: `sslmode=verify-full` (libpq's word) means TLS and the right name."""

import ssl

from sqlalchemy import URL, make_url

from services.registration_service.settings import DatabaseSettings


def address(settings: DatabaseSettings) -> tuple[URL, dict[str, ssl.SSLContext]]:
    """The URL without what the driver does not know, and what else it is to connect with."""
    url = make_url(settings.url.get_secret_value())
    if "sslmode" not in url.query:
        return url, {}
    return url.difference_update_query(["sslmode"]), {"ssl": settings.tls()}
