"""What the operators' routes work with."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from faststream.rabbit import RabbitBroker

from services.registration_service.database import Database
from services.registration_service.ops.dead_letters import DeadLetters
from services.registration_service.settings import Settings
from shared.orthanc import Orthanc


@dataclass(frozen=True)
class Desk:
    """The servers, as this service talks to them, and its settings."""

    database: Database
    orthanc: Orthanc
    broker: RabbitBroker
    letters: DeadLetters
    settings: Settings


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


AtDesk = Annotated[Desk, Depends(_desk)]
