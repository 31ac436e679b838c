"""The one Piccolo app: all tables, all migrations."""

from pathlib import Path

from piccolo.conf.apps import AppConfig

from server.db.tables import TABLES

APP_CONFIG = AppConfig(
    app_name="regulars",
    migrations_folder_path=str(Path(__file__).parent / "migrations"),
    table_classes=list(TABLES),
)
