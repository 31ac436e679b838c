"""Failures on demand: what the next matching requests get instead of, or besides, their answer."""

import re
import threading
from typing import Literal, assert_never

import msgspec

FailureKind = Literal[
    "problem",  # a JSON problem document
    "empty",  # the status and no body at all
    "html",  # a page, as the CDN in front sends it
    "broken_json",  # the start of a JSON document
    "close",  # the connection ends, nothing was done
    "drop_answer",  # the request takes effect, then the connection ends
    "slow",  # the answer comes after `seconds`
    "never",  # nothing is done or answered until the client goes away
]

EXAMPLE_PAGE = b"<html><body><h1>The server is having trouble</h1></body></html>"


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A failure for the next `count` requests whose method and path match.

    `path` is a regular expression searched for in the path behind `/3.0`. `seconds` belongs to `slow`, `title` and `detail` to
    `problem`, `status` to all that have a body of their own.
    """

    kind: FailureKind
    count: int = 1
    method: str = ""
    path: str = ""
    status: int = 500
    title: str = "Internal Server Error"
    detail: str = "The stand-in was told to fail."
    seconds: float = 0.0

    def matches(self, method: str, path: str) -> bool:
        return self.method in ("", method) and re.search(self.path, path) is not None


class FailureQueue:
    """The failures still to come, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: list[Failure] = []

    def add(self, failure: Failure) -> None:
        """Queue a failure.

        Raises:
            ValueError: Its path is not a regular expression, or its count is not positive.
        """
        try:
            re.compile(failure.path)
        except re.error as error:
            raise ValueError(f"{failure.path} is not a regular expression.") from error
        if failure.count < 1:
            raise ValueError("A failure is for one request or more.")
        with self._lock:
            self._failures.append(failure)

    def clear(self) -> None:
        with self._lock:
            self._failures.clear()

    def left_count(self) -> int:
        with self._lock:
            return sum(failure.count for failure in self._failures)

    def take(self, method: str, path: str) -> Failure | None:
        """Use up one of the first failure that matches."""
        with self._lock:
            for index, failure in enumerate(self._failures):
                if failure.matches(method, path):
                    self._failures[index] = msgspec.structs.replace(failure, count=failure.count - 1)
                    if failure.count == 1:
                        del self._failures[index]
                    return failure
        return None


def body_of(kind: Literal["empty", "html", "broken_json"]) -> tuple[str, bytes]:
    """Return the content type and the body of a failure that is not a problem document."""
    match kind:
        case "empty":
            return "", b""
        case "html":
            return "text/html; charset=utf-8", EXAMPLE_PAGE
        case "broken_json":
            return "application/json; charset=utf-8", b'{"status": 5'
        case _:
            assert_never(kind)
