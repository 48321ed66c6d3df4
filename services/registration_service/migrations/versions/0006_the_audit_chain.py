"""The audit trail's hash chain, its retention, and where an action came from."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SERVICE = "registration"
INSERT_RETENTION = "INSERT INTO audit_retention VALUES (1, 365)"  # days; EXAMFLOW_AUDIT_RETENTION_DAYS changes it

# Whatever adds a record, in whichever way, leaves it to be sealed: with the rights of the tables' owner, so that the
# service cannot add one that escapes.
NOTE_UNSEALED = """
CREATE FUNCTION audit_note_unsealed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public AS $$
BEGIN
    INSERT INTO audit_unsealed SELECT id FROM added;
    RETURN NULL;
END $$
"""
NOTE_TRIGGER = """
CREATE TRIGGER audit_note_unsealed AFTER INSERT ON audit_events
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION audit_note_unsealed()
"""
# The only way that records go: the oldest, when they are older than the retention, with a row that says up to where.
PRUNE = """
CREATE FUNCTION audit_prune(at_most integer) RETURNS SETOF audit_prunings LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public AS $$
DECLARE
    kept_days integer := (SELECT days FROM audit_retention);
    first_kept bigint;
    last audit_chain%ROWTYPE;
BEGIN
    SELECT min(seq) INTO first_kept FROM audit_chain WHERE sealed_at >= now() - make_interval(days => kept_days);
    SELECT * INTO last FROM (
        SELECT * FROM audit_chain WHERE seq < coalesce(first_kept, (SELECT max(seq) FROM audit_chain))
        ORDER BY seq LIMIT at_most
    ) AS old ORDER BY seq DESC LIMIT 1;
    IF last.seq IS NULL THEN
        RETURN;
    END IF;
    WITH gone AS (DELETE FROM audit_chain WHERE seq <= last.seq RETURNING event_id)
    DELETE FROM audit_events USING gone WHERE id = gone.event_id;
    RETURN QUERY INSERT INTO audit_prunings (to_seq, hash, days, records)
        VALUES (last.seq, last.hash, kept_days, last.seq - coalesce((SELECT max(to_seq) FROM audit_prunings), 0))
        RETURNING *;
END $$
"""


def upgrade() -> None:
    """Add them; the records that stand already are sealed first."""
    op.add_column(
        "audit_events",
        sa.Column("record_id", sa.String(64), server_default=sa.text("(gen_random_uuid())::text"), nullable=False),
    )
    op.add_column("audit_events", sa.Column("service", sa.String(64), server_default="registration", nullable=False))
    op.add_column("audit_events", sa.Column("remote_ip", sa.String(64), nullable=True))
    op.create_unique_constraint("uq_audit_events_record_id", "audit_events", ["record_id"])
    _create_tables()
    op.execute("INSERT INTO audit_unsealed SELECT id FROM audit_events")
    op.execute(INSERT_RETENTION)
    for statement in (NOTE_UNSEALED, NOTE_TRIGGER, PRUNE):
        op.execute(statement)
    op.execute("REVOKE ALL ON FUNCTION audit_prune(integer) FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION audit_prune(integer) TO {SERVICE}")
    op.execute(f"GRANT SELECT, INSERT ON audit_chain TO {SERVICE}")
    op.execute(f"GRANT SELECT, DELETE ON audit_unsealed TO {SERVICE}")
    op.execute(f"GRANT SELECT ON audit_retention, audit_prunings TO {SERVICE}")


def _create_tables() -> None:
    op.create_table(
        "audit_unsealed",
        sa.Column("event_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("event_id"),
    )
    op.create_table(
        "audit_chain",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("event_id", name="uq_audit_chain_event_id"),
    )
    op.create_table(
        "audit_retention",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.CheckConstraint("id = 1", name="ck_audit_retention_one"),
        sa.CheckConstraint("days >= 30", name="ck_audit_retention_days"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "audit_prunings",
        sa.Column("to_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("records", sa.BigInteger(), nullable=False),
        sa.Column("pruned_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("to_seq"),
    )


def downgrade() -> None:
    """Take them away; the records stay."""
    op.execute("DROP TRIGGER audit_note_unsealed ON audit_events")
    op.execute("DROP FUNCTION audit_note_unsealed()")
    op.execute("DROP FUNCTION audit_prune(integer)")
    for table in ("audit_prunings", "audit_retention", "audit_chain", "audit_unsealed"):
        op.drop_table(table)
    op.drop_constraint("uq_audit_events_record_id", "audit_events", type_="unique")
    for column in ("remote_ip", "service", "record_id"):
        op.drop_column("audit_events", column)
