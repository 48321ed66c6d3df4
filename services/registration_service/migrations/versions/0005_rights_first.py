"""Changes of rights are found in the outbox at once, however much else waits there."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    rights = sa.text("routing_key = 'exam.rights-changed'")
    op.create_index("ix_outbox_rights", "outbox", ["id"], unique=False, postgresql_where=rights)


def downgrade() -> None:
    """Take it away."""
    op.drop_index("ix_outbox_rights", table_name="outbox")
