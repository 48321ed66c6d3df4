"""The audit records of one image are found by an index: its timeline shows them."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add it."""
    op.create_index("ix_audit_events_subject", "audit_events", ["subject", "recorded_at"], unique=False)


def downgrade() -> None:
    """Take it away."""
    op.drop_index("ix_audit_events_subject", table_name="audit_events")
