"""The history of the tables, for Alembic: `versions/` holds a file a step."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection


def upgrade(db: Connection) -> None:
    """Bring the database behind a connection to the last step."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = db
    command.upgrade(config, "head")
