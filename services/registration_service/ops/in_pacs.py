"""What Orthanc knows of one image; that it does not answer is an answer as well."""

import asyncio
from dataclasses import dataclass

from services.registration_service.ops.desk import Desk
from services.registration_service.pacs import Found, find_instances
from shared.errors import OrthancAway, OrthancNonsense


@dataclass(frozen=True)
class InPacs:
    """`answers`: whether Orthanc said anything; `found`: what it said, None where it has no such image."""

    answers: bool
    found: Found | None = None
    digest: str | None = None


async def ask_orthanc(desk: Desk, orthanc_id: str) -> InPacs:
    """Ask for an instance, within the status's time limit."""
    try:
        async with asyncio.timeout(desk.settings.status.answer_seconds):
            found = (await find_instances(desk.orthanc, [orthanc_id])).get(orthanc_id)
            digest = await desk.orthanc.digest(orthanc_id) if found else None
    except (OrthancAway, OrthancNonsense, TimeoutError):
        return InPacs(answers=False)
    return InPacs(answers=True, found=found, digest=digest)


async def where_unknown(desk: Desk, name: str) -> tuple[str, str]:
    """Whether Orthanc has an image of which the ledger knows nothing; in English and French, with what to do."""
    try:
        async with asyncio.timeout(desk.settings.status.answer_seconds):
            has = bool(await find_instances(desk.orthanc, [name])) or bool(await desk.orthanc.lookup(name))
    except (OrthancAway, OrthancNonsense, TimeoutError):
        return (
            "and Orthanc does not answer, so whether it is stored is not known",
            "et Orthanc ne répond pas : on ne sait pas si elle est stockée",
        )
    if has:
        return (
            "it is in Orthanc, and the reconciler brings it in; to have that at once, type 'examflow reconcile --full'",
            "elle est dans Orthanc, et le réconciliateur la prendra ; tout de suite : « examflow reconcile --full »",
        )
    return (
        "it is not in Orthanc either, so it never arrived, or it was deleted before it was noted; check the id",
        "elle n'est pas non plus dans Orthanc : jamais arrivée, ou supprimée avant ; vérifiez l'identifiant",
    )
