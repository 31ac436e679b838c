"""A shop to measure on: an embedded PostgreSQL with default durability, members made by SQL, and the real service."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import msgspec
import uvloop
from argon2 import PasswordHasher

from scripts.benchmarks.load import Job, Report
from scripts.ports import find_free_port
from server.db.embedded import EmbeddedPostgres
from server.db.migrate import migrate
from server.tokens import hash_token

MEMBERS = 20_000
PASSWORD = "benchmarks-are-not-members"  # noqa: S105 - of members who live for a minute
KEY = "bench-key-0123456789abcdef0123456789abcdef"

STAFF_TOKEN = "bench-staff-0123456789abcdef0123456789abcdef"  # noqa: S105 - of staff who live for a minute

_BENCH_ID = """
create function bench_id(kind int, n bigint) returns uuid immutable language sql as
$$ select ('0' || lpad(kind::text, 7, '0') || '-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid $$;
"""
_SEED = """
insert into store (id, code, name, zone, created_at) values (bench_id(1, 1), 'high', 'High Street', 'Europe/London', now());
insert into pos_connection (id, code, name, created_at) values (bench_id(2, 1), 'till', 'Till', now());
insert into programme (id, code, name, zone, currency, launch_at, is_default, created_at)
  values (bench_id(3, 1), 'club', 'Club', 'Europe/London', 'GBP', now() - interval '1 year', true, now());
insert into rule_version (id, programme, version, valid_from, body, checksum, created_at)
  values (bench_id(4, 1), bench_id(3, 1), 1, now() - interval '1 year',
          '{"points": 1, "per_minor": 100, "expiry": {"kind": "days", "days": 365}}', '', now());
insert into api_key (id, name, connection, token_hash, scopes, stores, created_at, expires_at)
  values (bench_id(13, 1), 'bench', bench_id(2, 1), '\\x$key', '{orders}', '{}', now(), now() + interval '1 day');
insert into staff_member (id, login, name, role, password_hash, status, created_at)
  values (bench_id(17, 1), 'bench', 'Bench', 'manager', '$password', 'active', now());
insert into staff_session (id, staff_member, token_hash, created_at, last_used_at, expires_at)
  values (bench_id(18, 1), bench_id(17, 1), '\\x$staff', now(), now(), now() + interval '1 day');
"""
# Everything a member is; ids are made from numbers so that load scripts can name them. Of two thousand family names some
# are much more common than others. Foreign keys are not checked for it, as that takes longer than the rest.
_MEMBERS = """
set session_replication_role = replica;
create temporary table person as
select n, bench_id(5, n) as id, 'm' || n || '@example.com' as email, '+447' || lpad(n::text, 9, '0') as phone,
       (array['Ana','Ben','Chloe','David','Emma','Felix','Grace','Hugo','Isla','Jack','Kate','Liam','Maya','Noah','Olivia',
              'Peter','Quinn','Ruby','Sam','Tara','Umar','Vera','Will','Xenia','Yusuf','Zoe'])[n * 7919 % 26 + 1] as given,
       initcap((array['ba','ca','da','fo','ga','ha','ja','ke','la','ma','no','pa','ro','sa','ta','wi'])[rank % 16 + 1]
               || (array['ber','cher','ders','ford','gan','ley','man','ner','son','ton'])[rank / 16 % 10 + 1]
               || (array['','by','den','field','gate','ham','land','more','smith','well','wood','worth'])[rank / 160 % 12 + 1])
           as family
from (select n, floor(1920 * power((n * 2654435761 % 1000003) / 1000003.0, 2))::int as rank
      from generate_series($first::bigint, $last::bigint) n) numbered;
insert into customer (id, given_name, family_name, birth_year, birth_month, birth_day, post_code, enrolled_source,
                      created_at, updated_at)
  select id, given, family, 1940 + n * 7907 % 67, n * 7901 % 12 + 1, n * 7883 % 28 + 1, 'BN' || n * 7877 % 50000, 'app', now(), now()
  from person;
insert into customer_name_key (id, customer, key)
  select bench_id(14, n), id, lower(given || ' ' || family) from person
  union all select bench_id(15, n), id, lower(family || ' ' || given) from person;
insert into contact_point (id, customer, kind, value, key, status, created_at, verified_at)
  select bench_id(6, n), id, 'email', email, email, 'verified', now(), now() from person;
insert into contact_point (id, customer, kind, value, key, created_at)
  select bench_id(16, n), id, 'phone', phone, phone, now() from person;
insert into membership (id, programme, enrolled_at, created_at)
  select bench_id(7, n), bench_id(3, 1), now() - interval '30 days', now() from person;
insert into membership_person (id, membership, programme, customer, joined_at, eligible_from)
  select bench_id(8, n), bench_id(7, n), bench_id(3, 1), id, now() - interval '30 days', now() - interval '30 days' from person;
insert into card (id, code, membership, customer, issued_at)
  select bench_id(9, n), (29000000000000 + n)::text, bench_id(7, n), id, now() from person;
insert into audience_contact (id, customer, email, email_key, dirty_at, next_try_at, created_at)
  select bench_id(10, n), id, email, email, now(), now(), now() from person;
insert into login (id, customer, password_hash, password_changed_at, created_at)
  select bench_id(11, n), id, '$password', now(), now() from person;
insert into member_session (id, customer, access_hash, access_expires_at, refresh_expires_at, created_at, last_used_at, stepped_up_at)
  select bench_id(12, n), id, sha256(('bench-token-' || lpad(n::text, 20, '0'))::bytea), now() + interval '1 day',
         now() + interval '1 day', now(), now(), now() from person;
drop table person;
reset session_replication_role;
analyze;
"""
_MEMBERS_AT_ONCE = 100_000


class Shop(msgspec.Struct, frozen=True, kw_only=True):
    """Where the shop is."""

    dsn: str
    port: int
    bin_dir: Path
    folder: Path
    service_pid: int

    def cpu_seconds(self) -> float:
        """Return the processor time that the database and the service have used; 0 where there is no /proc."""
        postmaster = int((self.folder / "data" / "postgres" / "data" / "postmaster.pid").read_text().split()[0])
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                # What follows the name in brackets: the parent is the second, the times of the process itself and of its
                # ended children are the twelfth to the fifteenth.
                fields = stat.read_text().rpartition(")")[2].split()
                pid, parent = int(stat.parent.name), int(fields[1])
                if postmaster in (pid, parent) or pid == self.service_pid:
                    ticks += sum(int(field) for field in fields[11 : 15 if pid == postmaster else 13])
        return ticks / os.sysconf("SC_CLK_TCK")

    def load(
        self, *, connections: int, seconds: float, requests: list[str], status: int = 200, first: int = 0
    ) -> Report:
        """Send requests from a process of its own and return what came back.

        Raises:
            AssertionError: An answer had another status.
        """
        job = Job(
            port=self.port,
            connections=connections,
            seconds=seconds,
            requests=requests,
            expected_status=status,
            first_number=first,
        )
        command = [sys.executable, "-m", "scripts.benchmarks.load"]
        done = subprocess.run(command, input=msgspec.json.encode(job), stdout=subprocess.PIPE, check=True)
        report = msgspec.json.decode(done.stdout, type=Report)
        assert not report.unexpected, f"{report.unexpected} answers were not {status}: {report.unexpected_sample}"
        return report

    def pgbench(self, script: str, *, clients: int, seconds: float) -> float:
        """Run a pgbench script with prepared statements and return transactions a second."""
        path = self.folder / "script.sql"
        path.write_text(script)
        command = [str(self.bin_dir / "pgbench"), "--no-vacuum", "-M", "prepared", "-f", str(path)]
        command += ["-c", str(clients), "-j", "2", "-T", str(max(1, round(seconds))), self.dsn]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        line = next(line for line in done.stdout.splitlines() if line.startswith("tps"))
        return float(line.split()[2])


@contextlib.contextmanager
def open_shop(hasher: PasswordHasher, *, members: int = MEMBERS) -> Iterator[Shop]:
    """Start PostgreSQL, make the members, start the service; stop and remove all of it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="regulars-bench-"))
    folder.chmod(0o711)
    postgres = EmbeddedPostgres(folder / "data")
    try:
        dsn = postgres.start()
        uvloop.run(_seed(dsn, hasher.hash(PASSWORD), members))
        with _service(dsn, folder, hasher) as (port, pid):
            yield Shop(dsn=dsn, port=port, bin_dir=Path(postgres.bin_dir), folder=folder, service_pid=pid)
    finally:
        postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def _seed(dsn: str, password_hash: str, members: int) -> None:
    await migrate(dsn)
    connection = await asyncpg.connect(dsn)
    await connection.execute(_BENCH_ID)
    script = _SEED.replace("$key", hash_token(KEY).hex()).replace("$staff", hash_token(STAFF_TOKEN).hex())
    await connection.execute(script.replace("$password", password_hash))
    await connection.close()
    await add_members(dsn, 1, members, password_hash=password_hash)


async def add_members(dsn: str, first: int, last: int, *, password_hash: str = "") -> None:
    """Add the members of these numbers; without a hash they have sessions but cannot sign in."""
    connection = await asyncpg.connect(dsn, command_timeout=900)
    for start in range(first, last + 1, _MEMBERS_AT_ONCE):
        end = min(start + _MEMBERS_AT_ONCE - 1, last)
        script = _MEMBERS.replace("$first", str(start)).replace("$last", str(end))
        await connection.execute(script.replace("$password", password_hash))
    await connection.close()


@contextlib.contextmanager
def _service(dsn: str, folder: Path, hasher: PasswordHasher) -> Iterator[tuple[int, int]]:
    port = find_free_port()
    environment = os.environ | {
        "REGULARS_DATABASE_URL": dsn,
        "REGULARS_DATA_DIR": str(folder / "service"),
        "REGULARS_PORT": str(port),
        "REGULARS_SECRET_KEY": secrets.token_hex(32),
        "REGULARS_LOG_LEVEL": "warning",
        "REGULARS_TRUSTED_PROXIES": "127.0.0.1",
        "REGULARS_ARGON2_TIME_COST": str(hasher.time_cost),
        "REGULARS_ARGON2_MEMORY_KIB": str(hasher.memory_cost),
        "REGULARS_ARGON2_PARALLELISM": str(hasher.parallelism),
    }
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("regulars")), "serve"], env=environment, stdout=subprocess.DEVNULL
    )
    try:
        _wait_until_ready(port, process)
        yield port, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def _wait_until_ready(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, "the service ended"
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"http://127.0.0.1:{port}/health/ready", trust_env=False).status_code == 200:
                return
        time.sleep(0.1)
    raise TimeoutError("the service did not become ready")
