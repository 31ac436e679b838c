"""Notices of points that have lapsed long ago are found by their time, to be deleted."""

from server.db.scripts import run_scripts

ID = "0041"
DESCRIPTION = "Notices of points that have lapsed long ago are found by their time, to be deleted"

INDEXES = "create index expiry_notice_over on expiry_notice (expires_at);"

forwards = run_scripts(ID, DESCRIPTION, INDEXES)
