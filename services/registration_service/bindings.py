"""Whether what is published still reaches registration's queues.

A confirm does not tell: where any other queue takes a message, the broker confirms it though ours is bound no more.
AMQP cannot list bindings, so the broker's management interface is asked, with registration's own account.
"""

from urllib.parse import quote

import httpx
from yarl import URL

from services.registration_service.consumers import AUDIT_QUEUE, EXAM_QUEUE, STORED_QUEUE
from shared.events import AuditRecorded, DicomStored, ExamUpserted
from shared.settings import BrokerSettings

NEEDED = {
    (STORED_QUEUE, DicomStored.event_type),
    (EXAM_QUEUE, ExamUpserted.event_type),
    (AUDIT_QUEUE, AuditRecorded.event_type),
}


class Bindings:
    """Asks the broker where registration's queues are bound."""

    def __init__(self, settings: BrokerSettings, management_url: str) -> None:
        amqp = URL(settings.url.get_secret_value())
        vhost, exchange = quote(amqp.path.strip("/") or "/", safe=""), quote(settings.exchange, safe="")
        self._address = f"{management_url}/api/exchanges/{vhost}/{exchange}/bindings/source"
        self._tls = settings.tls()
        self._account = (amqp.user or "", amqp.password or "")

    async def answers(self) -> None:
        """Readiness: every binding that registration needs is there; raises where not."""
        async with httpx.AsyncClient(auth=self._account, verify=self._tls, trust_env=False) as http:
            answer = await http.get(self._address)
        answer.raise_for_status()
        missing = NEEDED - {(bound["destination"], bound["routing_key"]) for bound in answer.json()}
        if missing:
            raise LookupError(", ".join(f"{queue} is not bound to {key}" for queue, key in sorted(missing)))
