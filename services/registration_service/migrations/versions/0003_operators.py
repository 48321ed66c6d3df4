"""What operators see and do: when an image was told of and decided, why somebody acted, which consumers are paused."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them."""
    op.add_column("intake_ledger", sa.Column("event_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("intake_ledger", sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("audit_events", sa.Column("reason", sa.Text(), nullable=True))
    op.create_table(
        "paused_consumers",
        sa.Column("queue", sa.String(length=255), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("queue"),
    )
    op.execute("GRANT SELECT, INSERT, DELETE ON paused_consumers TO registration")
    op.execute("GRANT SELECT ON alembic_version TO registration")  # its readiness tells a database of older code


def downgrade() -> None:
    """Take them away; the version stays readable, so that the service can tell that it is too old."""
    op.drop_table("paused_consumers")
    op.drop_column("audit_events", "reason")
    op.drop_column("intake_ledger", "decided_at")
    op.drop_column("intake_ledger", "event_at")
