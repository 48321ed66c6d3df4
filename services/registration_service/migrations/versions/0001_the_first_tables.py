"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


# The services' role: it owns nothing, and the audit trail is append-only for it.
SERVICE = "registration"


def upgrade() -> None:
    """Make the tables, and grant the services what they need."""
    op.create_table(
        "audit_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("outcome", sa.String(length=64), nullable=False),
        sa.Column("exam_id", sa.String(length=36), nullable=True),
        sa.Column("subject", sa.String(length=255), nullable=True),
        sa.Column("correlation_id", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_audit_events_exam", "audit_events", ["exam_id", "recorded_at"], unique=False)
    op.create_table(
        "examens_medicaux",
        sa.Column("examenID", sa.String(length=36), nullable=False),
        sa.Column("accessionNumber", sa.String(length=64), nullable=True),
        sa.Column("patientID", sa.String(length=64), nullable=True),
        sa.Column("principals", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("rightsEpoch", sa.BigInteger(), server_default="1", nullable=False),
        sa.PrimaryKeyConstraint("examenID"),
    )
    op.create_index("ix_examens_medicaux_accessionNumber", "examens_medicaux", ["accessionNumber"], unique=False)
    op.create_table(
        "intake_ledger",
        sa.Column("orthanc_id", sa.String(length=255), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=255), nullable=False),
        sa.Column("series_instance_uid", sa.String(length=255), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=255), nullable=False),
        sa.Column("sop_class_uid", sa.String(length=255), nullable=True),
        sa.Column("modality", sa.String(length=50), nullable=True),
        sa.Column("acquired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accession_number", sa.String(length=64), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("digest", sa.String(length=32), nullable=True),
        sa.Column("state", sa.String(length=16), server_default="seen", nullable=False),
        sa.Column("code", sa.String(length=64), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("conflict_exam_id", sa.String(length=36), nullable=True),
        sa.Column("wanted_exam_id", sa.String(length=36), nullable=True),
        sa.Column("wanted_description", sa.Text(), server_default="", nullable=False),
        sa.Column("uploaders", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("origin", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("origins", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("registered_by", sa.String(length=8), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("first_seen", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_seen", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("correlation_id", sa.String(length=64), nullable=True),
        sa.Column("attributes", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.CheckConstraint(
            "state IN ('seen', 'waiting', 'registered', 'refused', 'dead', 'deleted')", name="ck_intake_ledger_state"
        ),
        sa.PrimaryKeyConstraint("orthanc_id"),
    )
    op.create_index("ix_intake_ledger_sop", "intake_ledger", ["sop_instance_uid"], unique=False)
    op.create_index("ix_intake_ledger_state", "intake_ledger", ["state", "first_seen"], unique=False)
    op.create_index(
        "ix_intake_ledger_waiting_accession",
        "intake_ledger",
        ["accession_number"],
        unique=False,
        postgresql_where="state = 'waiting'",
    )
    op.create_index(
        "ix_intake_ledger_waiting_exam",
        "intake_ledger",
        ["wanted_exam_id"],
        unique=False,
        postgresql_where="state = 'waiting'",
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("event_id", sa.String(length=64), nullable=False),
        sa.Column("routing_key", sa.String(length=64), nullable=False),
        sa.Column("correlation_id", sa.String(length=64), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "images_medicales",
        sa.Column("imageID", sa.String(length=36), nullable=False),
        sa.Column("examenID", sa.String(length=36), nullable=False),
        sa.Column("studyInstanceUID", sa.String(length=255), nullable=False),
        sa.Column("seriesInstanceUID", sa.String(length=255), nullable=False),
        sa.Column("sopInstanceUID", sa.String(length=255), nullable=False),
        sa.Column("dateAcquisition", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modalite", sa.String(length=50), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("url", sa.String(length=500), nullable=True),
        sa.Column("orthancInstanceId", sa.String(length=255), nullable=True),
        sa.ForeignKeyConstraint(
            ["examenID"],
            ["examens_medicaux.examenID"],
        ),
        sa.PrimaryKeyConstraint("imageID"),
        sa.UniqueConstraint("sopInstanceUID", name="uq_images_medicales_sopInstanceUID"),
    )
    op.create_index(
        "ix_images_medicales_exam", "images_medicales", ["examenID", "dateAcquisition", "imageID"], unique=False
    )
    op.create_index("ix_images_medicales_orthancInstanceId", "images_medicales", ["orthancInstanceId"], unique=False)
    op.execute(
        "GRANT SELECT, INSERT, UPDATE, DELETE"
        f" ON examens_medicaux, images_medicales, intake_ledger, outbox TO {SERVICE}"
    )
    op.execute(f"GRANT SELECT, INSERT ON audit_events TO {SERVICE}")


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_images_medicales_orthancInstanceId", table_name="images_medicales")
    op.drop_index("ix_images_medicales_exam", table_name="images_medicales")
    op.drop_table("images_medicales")
    op.drop_table("outbox")
    op.drop_index("ix_intake_ledger_waiting_exam", table_name="intake_ledger", postgresql_where="state = 'waiting'")
    op.drop_index(
        "ix_intake_ledger_waiting_accession", table_name="intake_ledger", postgresql_where="state = 'waiting'"
    )
    op.drop_index("ix_intake_ledger_state", table_name="intake_ledger")
    op.drop_index("ix_intake_ledger_sop", table_name="intake_ledger")
    op.drop_table("intake_ledger")
    op.drop_index("ix_examens_medicaux_accessionNumber", table_name="examens_medicaux")
    op.drop_table("examens_medicaux")
    op.drop_index("ix_audit_events_exam", table_name="audit_events")
    op.drop_table("audit_events")
