"""Indexes for the question which images somebody may see, of a study or at all."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them."""
    op.create_index("ix_examens_medicaux_principals", "examens_medicaux", ["principals"], postgresql_using="gin")
    op.create_index("ix_intake_ledger_series", "intake_ledger", ["study_instance_uid", "series_instance_uid"])
    op.create_index("ix_intake_ledger_uploaders", "intake_ledger", ["uploaders"], postgresql_using="gin")


def downgrade() -> None:
    """Take them away."""
    op.drop_index("ix_intake_ledger_uploaders", "intake_ledger")
    op.drop_index("ix_intake_ledger_series", "intake_ledger")
    op.drop_index("ix_examens_medicaux_principals", "examens_medicaux")
