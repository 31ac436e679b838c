"""A load generator in a process of its own: keep-alive connections that each send the next request on every answer.

Run as `python -m scripts.benchmarks.load` with a `Job` as JSON on standard input; prints a `Report` as JSON. It speaks
just enough HTTP for our own answers (Content-Length, keep-alive), because it shares two cores with what it measures.
"""

import asyncio
import itertools
import sys
import time
from collections.abc import Iterator
from typing import cast

import msgspec
import uvloop


class Job(msgspec.Struct, kw_only=True):
    """What to send. `requests` are whole HTTP requests, taken in turn; `{n}` in them becomes a running number."""

    port: int
    connections: int
    seconds: float
    requests: list[str]
    first_number: int = 0
    expected_status: int = 200


class Report(msgspec.Struct, kw_only=True):
    """What came back: answers a second, latency in milliseconds, and answers with another status than expected."""

    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    answers: int
    unexpected: int
    unexpected_sample: str = ""


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, run: "Run") -> None:
        self.run = run
        self.buffer = b""
        self.sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods but not the base class.
        self.transport = cast(asyncio.Transport, transport)
        self._send()

    def _send(self) -> None:
        self.sent_at = time.perf_counter()
        self.transport.write(self.run.next_request())

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self.buffer) < end + 4 + length:
            return
        self.run.note(int(self.buffer[9:12]), time.perf_counter() - self.sent_at, self.buffer)
        self.buffer = b""
        if time.perf_counter() < self.run.until:
            self._send()
        else:
            self.transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        self.run.finished()


class Run:
    """All connections of a job."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.until = time.perf_counter() + job.seconds
        self.latencies: list[float] = []
        self.unexpected = 0
        self.sample = ""
        self._open = job.connections
        self.done = asyncio.get_running_loop().create_future()
        self._templates: Iterator[str] = itertools.cycle(job.requests)
        self._numbers = itertools.count(job.first_number)

    def next_request(self) -> bytes:
        return next(self._templates).replace("{n}", f"{next(self._numbers):012}").encode()

    def note(self, status: int, seconds: float, answer: bytes) -> None:
        self.latencies.append(seconds)
        if status != self.job.expected_status:
            self.unexpected += 1
            self.sample = self.sample or answer[-400:].decode(errors="replace")

    def finished(self) -> None:
        self._open -= 1
        if self._open == 0 and not self.done.done():
            self.done.set_result(None)


async def run(job: Job) -> Report:
    """Carry out a job."""
    load = Run(job)
    started_at = time.perf_counter()
    loop = asyncio.get_running_loop()
    for _ in range(job.connections):
        await loop.create_connection(lambda: Connection(load), "127.0.0.1", job.port)
    async with asyncio.timeout(job.seconds + 30):
        await load.done
    seconds = time.perf_counter() - started_at
    latencies = sorted(load.latencies)
    return Report(
        per_second=len(latencies) / seconds,
        p50_ms=1000 * latencies[len(latencies) // 2],
        p95_ms=1000 * latencies[int(len(latencies) * 0.95)],
        p99_ms=1000 * latencies[int(len(latencies) * 0.99)],
        answers=len(latencies),
        unexpected=load.unexpected,
        unexpected_sample=load.sample,
    )


if __name__ == "__main__":
    report = uvloop.run(run(msgspec.json.decode(sys.stdin.buffer.read(), type=Job)))
    sys.stdout.buffer.write(msgspec.json.encode(report))
