"""The embedded PostgreSQL starts, stops and recovers by itself."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from server.db.embedded import FORGETFUL, DataDirInUse, EmbeddedPostgres, EmbeddedPostgresError

needs_root = pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="concerns the user root")

# A service of its own that prints (server pid, leash pid) when it is up, and then waits to be killed.
SERVICE = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from server.db.embedded import FORGETFUL, EmbeddedPostgres
    server = EmbeddedPostgres(Path(sys.argv[1]), options=FORGETFUL, durable=False)
    server.start()
    print(server._process.pid, server._leash.pid, flush=True)
    time.sleep(120)
    """
)


def _server(data_dir: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(data_dir, options=FORGETFUL, durable=False)


def _query(dsn: str, *statements: str) -> object:
    async def run() -> object:
        connection = await asyncpg.connect(dsn)
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return await connection.fetchval(statements[-1])
        finally:
            await connection.close()

    return asyncio.run(run())


def _server_pid(data_dir: Path) -> int:
    return int((data_dir / "postgres" / "data" / "postmaster.pid").read_text().split()[0])


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        if sys.platform != "linux":
            return True
        # A killed child of a killed parent stays listed until whoever inherits it looks.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        # It may end between the two looks as well.
        return False


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true within 60 s"
        time.sleep(0.01)


@pytest.fixture
def service(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that runs a server in `data_dir`."""
    process = subprocess.Popen([sys.executable, "-c", SERVICE, str(data_dir)], stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


def _pids(service: subprocess.Popen[str]) -> tuple[int, int]:
    assert service.stdout is not None
    server_pid, leash_pid = service.stdout.readline().split()
    return int(server_pid), int(leash_pid)


def test_the_first_start_gives_a_database_that_knows_the_letters_of_all_languages(data_dir: Path) -> None:
    with _server(data_dir) as server:
        assert _query(server.dsn, "SELECT current_database() || ' ' || lower('ÀÉÎØŽ')") == "regulars àéîøž"
        assert _query(server.dsn, "CREATE EXTENSION pg_trgm", "SELECT cardinality(show_trgm('žó'))") == 3


def test_the_server_refuses_who_does_not_know_the_password(data_dir: Path) -> None:
    with _server(data_dir) as server, pytest.raises(asyncpg.InvalidPasswordError):
        _query(server.dsn.replace("regulars:", "regulars:not-"), "SELECT 1")


def test_no_file_of_the_cluster_can_be_read_by_others(data_dir: Path) -> None:
    with _server(data_dir):
        folder = data_dir / "postgres"
        for path in (folder / "password", folder / "data", folder / "log"):
            assert path.stat().st_mode & 0o077 == 0, path


def test_a_second_start_keeps_data_password_and_port(data_dir: Path) -> None:
    with _server(data_dir) as server:
        first_dsn = server.dsn
        _query(first_dsn, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7) RETURNING n")
    with _server(data_dir) as server:
        assert server.dsn == first_dsn
        assert _query(server.dsn, "SELECT n FROM kept") == 7


def test_a_taken_port_is_given_up_for_a_free_one(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        (data_dir / "postgres").mkdir(mode=0o711)
        (data_dir / "postgres" / "port").write_text(str(taken.getsockname()[1]))
        with _server(data_dir) as server:
            assert f":{taken.getsockname()[1]}/" not in server.dsn
            assert _query(server.dsn, "SELECT 1") == 1


def test_stop_ends_the_server_and_its_sessions_and_may_be_repeated(data_dir: Path) -> None:
    server = _server(data_dir)
    server.start()
    pid = _server_pid(data_dir)
    server.stop()
    server.stop()
    assert not _is_alive(pid)
    assert not (data_dir / "postgres" / "data" / "postmaster.pid").exists()


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(data_dir: Path) -> None:
    with _server(data_dir):
        assert os.getsid(_server_pid(data_dir)) != os.getsid(0)


def test_a_second_service_in_the_same_folder_is_refused_by_name(data_dir: Path, service: subprocess.Popen[str]) -> None:
    server_pid, _ = _pids(service)
    with pytest.raises(DataDirInUse, match=rf"process {service.pid}\b.*REGULARS_DATA_DIR"):
        _server(data_dir).start()
    assert _is_alive(server_pid)


def test_of_two_services_that_start_at_once_one_runs_and_one_is_refused(data_dir: Path) -> None:
    starts = [
        subprocess.Popen(
            [sys.executable, "-c", SERVICE, str(data_dir)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    try:
        _wait_until(lambda: any(start.poll() is not None for start in starts))
        refused, running = sorted(starts, key=lambda start: start.poll() is None)
        assert "DataDirInUse" in refused.communicate()[1]
        assert _is_alive(_pids(running)[0])
    finally:
        for start in starts:
            start.kill()
            start.communicate()


def test_a_killed_service_takes_its_server_along(data_dir: Path, service: subprocess.Popen[str]) -> None:
    server_pid, _ = _pids(service)
    service.kill()
    _wait_until(lambda: not _is_alive(server_pid))


def test_an_orphaned_server_is_replaced_and_what_it_committed_is_kept(
    data_dir: Path, service: subprocess.Popen[str]
) -> None:
    server_pid, leash_pid = _pids(service)
    os.kill(leash_pid, signal.SIGKILL)
    service.kill()
    service.wait()
    assert _is_alive(server_pid)
    with _server(data_dir) as server:
        assert _server_pid(data_dir) != server_pid
        assert not _is_alive(server_pid)
        assert _query(server.dsn, "SELECT 1") == 1


def test_a_server_killed_in_the_middle_of_work_recovers_what_was_committed(
    data_dir: Path, service: subprocess.Popen[str]
) -> None:
    server_pid, leash_pid = _pids(service)
    password = (data_dir / "postgres" / "password").read_text()
    port = (data_dir / "postgres" / "port").read_text()
    dsn = f"postgresql://regulars:{password}@127.0.0.1:{port}/regulars"
    _query(dsn, "CREATE TABLE kept AS SELECT 7 AS n", "SELECT 1")
    for pid in (leash_pid, service.pid, server_pid):
        os.kill(pid, signal.SIGKILL)
    service.wait()
    with _server(data_dir) as server:
        assert _query(server.dsn, "SELECT n FROM kept") == 7


def test_a_pid_file_that_names_somebody_elses_process_is_no_hindrance(data_dir: Path) -> None:
    with _server(data_dir):
        pid_file = data_dir / "postgres" / "data" / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
    with subprocess.Popen(["sleep", "60"]) as stranger:
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        with _server(data_dir) as server:
            assert _query(server.dsn, "SELECT 1") == 1
        assert stranger.poll() is None
        stranger.kill()


def test_a_first_start_that_was_cut_short_begins_anew(data_dir: Path) -> None:
    half_made = data_dir / "postgres" / "data.new"
    half_made.mkdir(parents=True)
    (data_dir / "postgres").chmod(0o711)
    (half_made / "PG_VERSION").write_text("18\n")
    (data_dir / "postgres" / "password").write_text("")
    with _server(data_dir) as server:
        assert _query(server.dsn, "SELECT 1") == 1


def test_a_refused_option_is_reported_in_the_servers_own_words(data_dir: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match="no_such_option"):
        EmbeddedPostgres(data_dir, options={"no_such_option": "1"}, durable=False).start()
    with _server(data_dir) as server:
        assert _query(server.dsn, "SELECT 1") == 1


def test_a_folder_without_programs_is_refused_with_what_to_do(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_BIN", str(data_dir))
    with pytest.raises(EmbeddedPostgresError, match=r"PG_BIN.*REGULARS_DATABASE_URL"):
        _server(data_dir).start()


@needs_root
def test_root_runs_the_server_as_nobody_even_where_nobody_cannot_reach_the_folder(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with _server(closed / "shop") as server:
        target = (closed / "shop" / "postgres").resolve()
        try:
            assert _query(server.dsn, "SELECT 1") == 1
            assert (target / "data").stat().st_uid == 65534
            assert closed.stat().st_mode & 0o777 == 0o700
        finally:
            server.stop()
            subprocess.run(["rm", "-rf", "--", str(target)], check=True)


@needs_root
def test_root_links_programs_that_nobody_cannot_reach(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _server(data_dir) as server:
        package = server.bin_dir.parent.parent
    private = tmp_path / "home"
    private.mkdir(mode=0o700)
    for part in (package, package.with_name(package.name + ".libs")):
        subprocess.run(["cp", "-al", str(part), str(private)], check=True)
    monkeypatch.setenv("PG_BIN", str(private / package.name / "pginstall" / "bin"))
    with _server(data_dir) as server:
        assert server.bin_dir.is_relative_to((data_dir / "postgres").resolve())
        assert _query(server.dsn, "SELECT 1") == 1
