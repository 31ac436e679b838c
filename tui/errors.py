"""What can go wrong between the console and the service, as types; `tui.wording` puts them into words."""

from shared.problems import Problem


class ConsoleError(Exception):
    """Base of everything that a request can end in besides an answer."""


class Refused(ConsoleError):
    """The service said no and why. Nothing was changed."""

    def __init__(self, problem: Problem, *, retry_after_seconds: int | None = None) -> None:
        super().__init__(problem.code)
        self.problem = problem
        self.retry_after_seconds = retry_after_seconds


class SignedOut(Refused):
    """The session is over; nothing was changed."""


class Unreachable(ConsoleError):
    """No connection. `maybe_done` when an earlier try of the same command may have got through."""

    def __init__(self, *, maybe_done: bool = False) -> None:
        super().__init__("unreachable")
        self.maybe_done = maybe_done


class NoAnswer(ConsoleError):
    """Sent, but no answer came in time. `maybe_done` when it was a command, which may have been carried out."""

    def __init__(self, *, maybe_done: bool = False) -> None:
        super().__init__("no answer")
        self.maybe_done = maybe_done


class AnswerNotUnderstood(ConsoleError):
    """The answer is not what this console knows, as from another version or from a proxy between."""

    def __init__(self, *, status: int, maybe_done: bool = False) -> None:
        super().__init__(f"answer with status {status} not understood")
        self.status = status
        self.maybe_done = maybe_done


class ServiceNotStarted(Exception):
    """The application in this process refused to start; the text is its own reason."""
