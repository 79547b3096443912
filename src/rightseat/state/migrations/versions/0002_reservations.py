"""Reservations that other workers can book, and detection of dead workers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Reservations get their split and their time, workers the number of their lock."""
    op.add_column("reservations", sa.Column("input_tokens", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("reservations", sa.Column("at", sa.Float, nullable=False, server_default="0"))
    op.add_column("workers", sa.Column("lock", sa.Integer, nullable=False, server_default="0"))


def downgrade() -> None:
    """Open reservations are not booked."""
    op.drop_column("workers", "lock")
    op.drop_column("reservations", "at")
    op.drop_column("reservations", "input_tokens")
