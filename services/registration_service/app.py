"""Wires the registration service: `dicom.stored` and HTTP in, image records and announcements out."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI

from services.registration_service import api, internal_api
from services.registration_service.auditor import DatabaseAuditor
from services.registration_service.bindings import Bindings
from services.registration_service.by_http import HttpRegistrations
from services.registration_service.consumers import subscribe
from services.registration_service.consuming import Consuming
from services.registration_service.copies import Copies
from services.registration_service.database import Database
from services.registration_service.dead import DeadRows
from services.registration_service.group_commit import GroupCommit
from services.registration_service.ops import api as ops_api
from services.registration_service.ops import dead_letters_api, events_api
from services.registration_service.ops.dead_letters import DeadLetters
from services.registration_service.ops.desk import Desk
from services.registration_service.ops.replay import Replay
from services.registration_service.ops.trial import Trial
from services.registration_service.outbox import Outbox
from services.registration_service.settings import Settings
from services.registration_service.settling import Settling
from services.registration_service.trail import api as trail_api
from services.registration_service.trail.anchoring import Anchoring
from services.registration_service.trail.sealing import Sealing
from services.registration_service.vouching import Vouching
from shared.broker import Publisher, make_broker, running, trusted
from shared.orthanc import Orthanc
from shared.service import create_service, every
from shared.starting import read_settings


def create_app(settings: Settings | None = None) -> FastAPI:
    """The registration service as an ASGI app; nothing is opened before its lifespan."""
    settings = settings or read_settings(Settings)
    orthanc, database = Orthanc(settings.orthanc), Database(settings.database)
    events = Database(settings.database.for_events())
    broker = make_broker(settings.broker, "registration")
    outbox = Outbox(database, Publisher(broker, settings.broker), settings.outbox_batch)
    records = GroupCommit(database, settings.trail.commit_records, settings.trail.gather_seconds)
    believed, audited = settings.messages.believed, settings.messages.audited
    copies, dead_rows = Copies(broker, settings.broker), DeadRows(events, believed)
    settling = Settling(copies, dead_rows, settings.messages)
    vouching = Vouching(orthanc, believed, settings.facility_zone)
    consuming = Consuming(broker, database, lambda: subscribe(broker, events, vouching, settling, records, audited))
    letters = DeadLetters(settings.broker, copies, database, settings.dead_letters)
    trial = Trial(database, vouching, settings.messages, settings.dead_letters)

    chain, anchors = Sealing(database, settings.trail.seal_batch), Anchoring(database, settings.trail)
    bindings = Bindings(settings.broker, settings.management_url) if settings.management_url else None

    async def fed() -> None:
        await trusted(broker, settings.broker)
        await consuming.answers()
        if bindings:
            await bindings.answers()

    auditor = DatabaseAuditor(records)
    loops = [
        ("audit", settings.trail.later_pause_seconds, auditor.add_later),
        ("outbox", settings.outbox_pause_seconds, outbox.send_all),
        ("consumers", settings.consumers_pause_seconds, consuming.apply),
        ("dead-letters", settings.dead_letters.gauge_pause_seconds, lambda: letters.count(broker)),
        ("sealing", settings.trail.seal_pause_seconds, chain.seal_all),
        ("anchoring", settings.trail.anchor_pause_seconds, anchors.anchor),
    ]

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with (
            contextlib.aclosing(orthanc),
            contextlib.aclosing(database),
            contextlib.aclosing(events),
            running(broker),
        ):
            tasks = [asyncio.create_task(every(pause, work, name), name=name) for name, pause, work in loops]
            yield
            for task in tasks:
                task.cancel()

    app = create_service(
        "registration",
        settings,
        lifespan=lifespan,
        routers=[
            api.router,
            internal_api.router,
            dead_letters_api.router,
            events_api.router,
            ops_api.router,
            trail_api.router,
        ],
        checks={"orthanc": orthanc.answers, "postgresql": database.answers, "rabbitmq": fed},
    )
    app.state.settings = settings
    app.state.auditor = auditor
    app.state.database = database
    app.state.desk = Desk(database, orthanc, broker, letters, settings)
    app.state.registrations = HttpRegistrations(database, orthanc, settings.event_wait_seconds)
    app.state.dead_letters = letters
    app.state.replay = Replay(letters, copies, database, dead_rows, trial, settings.dead_letters)
    app.state.trial = trial
    return app
