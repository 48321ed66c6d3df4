"""The tables (PostgreSQL). `images_medicales` and `examens_medicaux` carry the names of the contract, case kept.

Digests, states and further facts about an image live in the ledger: `images_medicales` holds registered images only.
"""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    false,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """One metadata for all tables; constraints are named, so that migrations can speak of them."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True),
        list[str]: ARRAY(Text),
        dict[str, Any]: JSONB,
        list[dict[str, Any]]: JSONB,
    }


class Exam(Base):
    """A medical exam, as the HIS or our PUT last described it."""

    __tablename__ = "examens_medicaux"
    __table_args__ = (
        Index("ix_examens_medicaux_accessionNumber", "accessionNumber"),
        # Serve the question which images somebody may see (visible.py), as those of the ledger do.
        Index("ix_examens_medicaux_principals", "principals", postgresql_using="gin"),
    )

    exam_id: Mapped[str] = mapped_column("examenID", String(36), primary_key=True)
    accession_number: Mapped[str | None] = mapped_column("accessionNumber", String(64))
    patient_id: Mapped[str | None] = mapped_column("patientID", String(64))
    principals: Mapped[list[str]] = mapped_column(server_default="{}")
    version: Mapped[int] = mapped_column(BigInteger)
    rights_epoch: Mapped[int] = mapped_column("rightsEpoch", BigInteger, server_default="1")


class Image(Base):
    """A registered image. Exactly the columns of the contract."""

    __tablename__ = "images_medicales"
    __table_args__ = (
        UniqueConstraint("sopInstanceUID", name="uq_images_medicales_sopInstanceUID"),
        # Serves the list of an exam's images, newest first, and the check that an exam has images.
        Index("ix_images_medicales_exam", "examenID", "dateAcquisition", "imageID"),
        Index("ix_images_medicales_orthancInstanceId", "orthancInstanceId"),
    )

    image_id: Mapped[str] = mapped_column("imageID", String(36), primary_key=True)
    exam_id: Mapped[str] = mapped_column("examenID", String(36), ForeignKey("examens_medicaux.examenID"))
    study_instance_uid: Mapped[str] = mapped_column("studyInstanceUID", String(255))
    series_instance_uid: Mapped[str] = mapped_column("seriesInstanceUID", String(255))
    sop_instance_uid: Mapped[str] = mapped_column("sopInstanceUID", String(255))
    acquired_at: Mapped[datetime] = mapped_column("dateAcquisition")
    modalite: Mapped[str] = mapped_column("modalite", String(50))
    description: Mapped[str] = mapped_column("description", Text)
    url: Mapped[str | None] = mapped_column("url", String(500))
    orthanc_id: Mapped[str | None] = mapped_column("orthancInstanceId", String(255))


class LedgerEntry(Base):
    """What became of one Orthanc instance: one row for each ever seen.

    `state`: seen, waiting, registered, refused, dead, deleted (see ledger.py). `registered_by`: http or event.
    `origin`: who named the wanted exam, else who brought it first; `origins`: everyone who brought equal bytes.
    `event_at`: when its first event was consumed; `decided_at`: when it came into the state it is in.
    """

    __tablename__ = "intake_ledger"
    __table_args__ = (
        CheckConstraint(
            "state IN ('seen', 'waiting', 'registered', 'refused', 'dead', 'deleted')", name="ck_intake_ledger_state"
        ),
        Index("ix_intake_ledger_sop", "sop_instance_uid"),
        Index("ix_intake_ledger_series", "study_instance_uid", "series_instance_uid"),
        Index("ix_intake_ledger_uploaders", "uploaders", postgresql_using="gin"),
        Index("ix_intake_ledger_waiting_exam", "wanted_exam_id", postgresql_where="state = 'waiting'"),
        Index("ix_intake_ledger_waiting_accession", "accession_number", postgresql_where="state = 'waiting'"),
        Index("ix_intake_ledger_state", "state", "first_seen"),
        Index("ix_intake_ledger_due", "publish_after", postgresql_where="state = 'seen'"),
        Index("ix_intake_ledger_parked", "orthanc_id", postgresql_where="parked"),
    )

    orthanc_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(String(255))
    series_instance_uid: Mapped[str] = mapped_column(String(255))
    sop_instance_uid: Mapped[str] = mapped_column(String(255))
    sop_class_uid: Mapped[str | None] = mapped_column(String(255))
    modality: Mapped[str | None] = mapped_column(String(50))
    acquired_at: Mapped[datetime | None]
    accession_number: Mapped[str | None] = mapped_column(String(64))
    size: Mapped[int | None] = mapped_column(BigInteger)
    digest: Mapped[str | None] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(String(16), server_default="seen")
    code: Mapped[str | None] = mapped_column(String(64))
    reason: Mapped[str | None] = mapped_column(Text)
    conflict_exam_id: Mapped[str | None] = mapped_column(String(36))
    wanted_exam_id: Mapped[str | None] = mapped_column(String(36))
    wanted_description: Mapped[str] = mapped_column(Text, server_default="")
    uploaders: Mapped[list[str]] = mapped_column(server_default="{}")
    origin: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    origins: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]")
    registered_by: Mapped[str | None] = mapped_column(String(8))
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    first_seen: Mapped[datetime] = mapped_column(server_default=func.now())
    last_seen: Mapped[datetime] = mapped_column(server_default=func.now())
    correlation_id: Mapped[str | None] = mapped_column(String(64))
    attributes: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    publish_after: Mapped[datetime | None]
    publishes: Mapped[int] = mapped_column(Integer, server_default="0")
    parked: Mapped[bool] = mapped_column(server_default=false())
    event_at: Mapped[datetime | None]
    decided_at: Mapped[datetime | None]


class ReconcilerCursor(Base):
    """How far Orthanc's changes were read; there is one row.

    `change_...` is the change at `seq` as it was read: another one there means that Orthanc's index was restored.
    None where no change was left there to remember. `compare_wanted` says since when a full compare is owed.
    """

    __tablename__ = "reconciler_cursor"
    __table_args__ = (CheckConstraint("id = 1", name="ck_reconciler_cursor_one"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(BigInteger)
    change_id: Mapped[str | None] = mapped_column(String(255))
    change_type: Mapped[str | None] = mapped_column(String(64))
    change_date: Mapped[str | None] = mapped_column(String(32))
    compare_wanted: Mapped[datetime | None]
    last_full_compare: Mapped[datetime | None]
    alarm: Mapped[bool] = mapped_column(server_default=false())


class OutboxMessage(Base):
    """An event that is still to be published; written in the transaction of what it tells."""

    __tablename__ = "outbox"
    # Changes of rights go before all else, and are few.
    __table_args__ = (Index("ix_outbox_rights", "id", postgresql_where="routing_key = 'exam.rights-changed'"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    event_id: Mapped[str] = mapped_column(String(64))
    routing_key: Mapped[str] = mapped_column(String(64))
    correlation_id: Mapped[str | None] = mapped_column(String(64))
    body: Mapped[str] = mapped_column(Text)
    written_at: Mapped[datetime] = mapped_column(server_default=func.now())


class AuditEvent(Base):
    """Who did what to which exam or image, when, from where, and how it ended. Rows are only ever added.

    A record that comes twice (`record_id`) stands once. A trigger notes each new row in `audit_unsealed`.
    """

    __tablename__ = "audit_events"
    __table_args__ = (
        UniqueConstraint("record_id", name="uq_audit_events_record_id"),
        Index("ix_audit_events_exam", "exam_id", "recorded_at"),
        Index("ix_audit_events_subject", "subject", "recorded_at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    record_id: Mapped[str] = mapped_column(String(64), server_default=text("(gen_random_uuid())::text"))
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.now())
    service: Mapped[str] = mapped_column(String(64), server_default="registration")
    actor: Mapped[str] = mapped_column(String(255))
    action: Mapped[str] = mapped_column(String(64))
    outcome: Mapped[str] = mapped_column(String(64))
    exam_id: Mapped[str | None] = mapped_column(String(36))
    subject: Mapped[str | None] = mapped_column(String(255))
    reason: Mapped[str | None] = mapped_column(Text)
    correlation_id: Mapped[str | None] = mapped_column(String(64))
    remote_ip: Mapped[str | None] = mapped_column(String(64))


class AuditUnsealed(Base):
    """A record that is not in the hash chain yet (sealing.py)."""

    __tablename__ = "audit_unsealed"

    event_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)


class AuditLink(Base):
    """The place of a record in the hash chain (shared/audit_chain.py). Rows are only ever added."""

    __tablename__ = "audit_chain"
    __table_args__ = (UniqueConstraint("event_id", name="uq_audit_chain_event_id"),)

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    event_id: Mapped[int] = mapped_column(BigInteger)
    sealed_at: Mapped[datetime]
    hash: Mapped[str] = mapped_column(String(64))


class AuditRetention(Base):
    """For how many days records are kept: one row, which only the owner of the tables may change."""

    __tablename__ = "audit_retention"
    __table_args__ = (
        CheckConstraint("id = 1", name="ck_audit_retention_one"),
        CheckConstraint("days >= 30", name="ck_audit_retention_days"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    days: Mapped[int] = mapped_column(Integer)


class AuditPruning(Base):
    """A removal of records older than the retention: up to which place of the chain. `audit_prune` makes it."""

    __tablename__ = "audit_prunings"

    to_seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hash: Mapped[str] = mapped_column(String(64))
    days: Mapped[int] = mapped_column(Integer)
    records: Mapped[int] = mapped_column(BigInteger)
    pruned_at: Mapped[datetime] = mapped_column(server_default=func.now())


class PausedConsumer(Base):
    """A queue that an operator has paused: no replica consumes from it until the row is gone."""

    __tablename__ = "paused_consumers"

    queue: Mapped[str] = mapped_column(String(255), primary_key=True)
    actor: Mapped[str] = mapped_column(String(255))
    reason: Mapped[str] = mapped_column(Text)
    since: Mapped[datetime] = mapped_column(server_default=func.now())
