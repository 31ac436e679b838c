"""Reports of unexpected errors, without anything a customer or a staff member typed."""

import secrets
import traceback
from datetime import datetime
from pathlib import Path

_REPORT_BYTES_MAX = 1_000_000


def write_report(error: BaseException, path: Path | None, *, at: datetime) -> str:
    """Append where an error arose to a file and return the report's code.

    Only types, files and line numbers are written: messages and local variables may hold personal data. The code is
    returned even when the file cannot be written.
    """
    code = secrets.token_hex(3)
    if path is None:
        return code
    lines = [f"{at.isoformat()} report {code}"]
    current: BaseException | None = error
    while current is not None:
        lines.append(f"  {type(current).__module__}.{type(current).__qualname__}")
        lines += [
            f"    {frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(current.__traceback__)
        ]
        current = current.__cause__ or current.__context__
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > _REPORT_BYTES_MAX:
            path.unlink()
        with path.open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    except OSError:
        pass  # A full or read-only disk must not add a second failure; the code on screen remains.
    return code
