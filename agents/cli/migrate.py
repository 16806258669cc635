"""`fleet migrate`: the database's schema."""

from agents.cli.console import OUT
from agents.migrations import migrate as apply_migrations
from agents.settings import load_settings


def migrate() -> None:
    """Apply what is missing and say what it was.

    Raises:
        SettingsInvalid: a setting cannot be.
        MigrationFailed: a migration failed, or an applied one has changed.
        Unavailable: the database is away.
    """
    applied = apply_migrations(load_settings().postgres)
    for migration in applied:
        OUT.print(f"applied {migration.number:04d}_{migration.name}")
    if not applied:
        OUT.print("nothing to do: the schema is the newest")
