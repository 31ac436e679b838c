"""The data folder, and files that only their owner may read: the generated key, and secrets of an operator."""

import os
import secrets
from pathlib import Path

from server.settings import SECRET_KEY_BYTES_MIN, Problem, Settings, SettingsError
from server.settings_rules import decoded_key


def prepare_data_dir(data_dir: Path) -> Path:
    """Create the data folder if need be and return it.

    Nobody else may list it. Made by root it lets others pass through, because PostgreSQL then runs as `nobody` in a
    folder inside it; every file in it is private by its own mode.
    """
    is_root = os.name != "nt" and os.geteuid() == 0
    if not data_dir.exists():
        data_dir.mkdir(mode=0o711 if is_root else 0o700, parents=True, exist_ok=True)
    return data_dir


def secret_key_bytes(settings: Settings) -> bytes:
    """Return the key that signs and derives, at least `SECRET_KEY_BYTES_MIN` bytes.

    Without `secret_key` it is read from `data_dir`, where it is generated once. Only a deployment with an embedded
    database gets there: several processes on one external database must be given the same key.

    Raises:
        SettingsError: The generated file is damaged or readable by others.
    """
    if settings.secret_key is not None:
        return decoded_key(settings.secret_key)
    path = prepare_data_dir(settings.data_dir) / "secret_key"
    _create_private(path, secrets.token_hex(SECRET_KEY_BYTES_MIN))
    problems: list[Problem] = []
    text = read_private(path, str(path), problems)
    if text is not None and len(decoded_key(text)) < SECRET_KEY_BYTES_MIN:
        problems.append(Problem(source=str(path), message="is damaged; restore it from a backup"))
    if problems or text is None:
        raise SettingsError(tuple(problems))
    return decoded_key(text)


def read_private(path: Path, source: str, problems: list[Problem]) -> str | None:
    """Return what a file holds; without it, add to the problems why not, under the source that named the file."""
    try:
        if is_open_to_others(path):
            problems.append(Problem(source=source, message=f"{path} can be read by others: chmod 600"))
            return None
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        problems.append(Problem(source=source, message=f"{path} cannot be read: {reason}"))
        return None
    if not text:
        problems.append(Problem(source=source, message=f"{path} is empty"))
        return None
    return text


def is_open_to_others(path: Path) -> bool:
    """Return whether others than its owner may do anything with a file.

    Raises:
        OSError: It is not there.
    """
    return os.name != "nt" and bool(path.stat().st_mode & 0o077)


def _create_private(path: Path, text: str) -> None:
    """Write a file of mode 600 unless it is there; whoever is first wins, and no half-written file is ever seen."""
    if path.exists():
        return
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        with open(draft, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # A hard link fails if the name is taken, where a rename would replace another process's key.
        path.hardlink_to(draft)
    except FileExistsError:
        return
    finally:
        draft.unlink(missing_ok=True)
