"""Signed URLs of the table's rows: good ones, and each with one thing wrong."""

import time

from deploy.local.system import load
from services.preview_service.pictures import DEFAULT
from services.preview_service.settings import SignedSettings
from services.preview_service.signed import Signer
from tests.rights.reading import Row
from tests.rights.things import Thing, Things

# What a row is about: a URL as it is given out; one whose text was altered; whose time is over; of another epoch.
SIGNED = ("signed", "forged", "late", "overtaken")


def parts(row: Row, about: Thing, things: Things) -> dict[str, str]:
    """The two parts of its path."""
    system = load(things.running.root)
    assert system is not None
    settings = SignedSettings.model_validate({"secret": system.secrets.signed_url_secret})
    now = time.time() - (3600 if row.about == "late" else 0)
    epoch = things.internal(about.orthanc_id).get("epoch", 1) + (row.about == "overtaken")
    url, _ = Signer(settings, lambda: now).url(about.orthanc_id, DEFAULT, about.exam, epoch)
    signature, claims = url.split("/")[-2:]
    return {"signature": signature, "claims": claims.replace(".90.", ".91.") if row.about == "forged" else claims}
