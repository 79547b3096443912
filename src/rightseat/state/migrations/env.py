"""Alembic runs this: our connection, our tables. Nothing is configured in a file."""

from __future__ import annotations

from alembic import context

from rightseat.state.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
