"""The reconciler's cursor, and what it must know of each image."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them; the services may change the cursor, and never remove it."""
    op.create_table(
        "reconciler_cursor",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("change_id", sa.String(length=255), nullable=True),
        sa.Column("change_type", sa.String(length=64), nullable=True),
        sa.Column("change_date", sa.String(length=32), nullable=True),
        sa.Column("compare_wanted", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_full_compare", sa.DateTime(timezone=True), nullable=True),
        sa.Column("alarm", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.CheckConstraint("id = 1", name="ck_reconciler_cursor_one"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE ON reconciler_cursor TO registration")
    op.add_column("intake_ledger", sa.Column("publish_after", sa.DateTime(timezone=True), nullable=True))
    op.add_column("intake_ledger", sa.Column("publishes", sa.Integer(), server_default="0", nullable=False))
    op.add_column("intake_ledger", sa.Column("parked", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_index(
        "ix_intake_ledger_due", "intake_ledger", ["publish_after"], unique=False, postgresql_where="state = 'seen'"
    )
    op.create_index("ix_intake_ledger_parked", "intake_ledger", ["orthanc_id"], unique=False, postgresql_where="parked")


def downgrade() -> None:
    """Take them away."""
    op.drop_index("ix_intake_ledger_parked", table_name="intake_ledger", postgresql_where="parked")
    op.drop_index("ix_intake_ledger_due", table_name="intake_ledger", postgresql_where="state = 'seen'")
    op.drop_column("intake_ledger", "parked")
    op.drop_column("intake_ledger", "publishes")
    op.drop_column("intake_ledger", "publish_after")
    op.drop_table("reconciler_cursor")
