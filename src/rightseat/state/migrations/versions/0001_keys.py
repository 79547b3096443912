"""Keys, what they used, and what is reserved."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make all tables."""
    op.create_table(
        "keys",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("expires_at", sa.Float),
        sa.Column("revoked_at", sa.Float),
        sa.Column("scopes", sa.String, nullable=False),
        sa.Column("models", sa.String, nullable=False),
        sa.Column("requests_per_minute", sa.Float),
        sa.Column("tokens_per_minute", sa.Float),
        sa.Column("daily_tokens", sa.BigInteger),
        sa.Column("monthly_tokens", sa.BigInteger),
        sa.Column("previous_digest", sa.String(64), nullable=False, server_default=""),
        sa.Column("previous_until", sa.Float),
    )
    op.create_table(
        "usage",
        sa.Column("key_id", sa.String(32), primary_key=True),
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("requests", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("input_tokens", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("output_tokens", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("cached_tokens", sa.BigInteger, nullable=False, server_default="0"),
    )
    op.create_table(
        "buckets",
        sa.Column("key_id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(10), primary_key=True),
        sa.Column("level", sa.Float, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_table(
        "reservations",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("key_id", sa.String(32), nullable=False, index=True),
        sa.Column("worker", sa.String(36), nullable=False),
        sa.Column("tokens", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "workers", sa.Column("id", sa.String(36), primary_key=True), sa.Column("seen", sa.Float, nullable=False)
    )
    op.create_table(
        "changes", sa.Column("id", sa.Integer, primary_key=True), sa.Column("number", sa.BigInteger, nullable=False)
    )
    op.execute("insert into changes (id, number) values (1, 0)")


def downgrade() -> None:
    """Drop all tables: the keys are lost."""
    for name in ("changes", "workers", "reservations", "buckets", "usage", "keys"):
        op.drop_table(name)
