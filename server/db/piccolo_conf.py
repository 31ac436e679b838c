"""What Piccolo's command line and migrations look for: the engine and the apps."""

from piccolo.conf.apps import AppRegistry

from server.db.engine import DB

__all__ = ["APP_REGISTRY", "DB"]

APP_REGISTRY = AppRegistry(apps=["server.db.piccolo_app"])
