"""Tell a scanner from a person: a pure state machine over timed key presses.

A scanner types a code in one burst and ends it with Enter or Tab. Keys of a burst are held back until it is clear what
they are, so that a scan never runs the commands its letters stand for, and are given back in order when a person
typed them. A scanner that is set to send Ctrl+B first is recognised at any speed.
"""

import string
from collections.abc import Iterable
from dataclasses import dataclass, field

from shared.codes import is_claim_code, is_voucher_code, normalise_claim_code, normalise_voucher_code

# Dataclasses, as this module is imported before the first paint and msgspec is not needed there yet.

PREFIX_KEY = "ctrl+b"  # STX
PREFIX_END_KEYS = frozenset({"enter", "tab", "ctrl+c"})  # ctrl+c is ETX.
BURST_END_KEYS = frozenset({"enter", "tab"})
PREFIX_SECONDS_MAX = 1.0
END_GAP_SECONDS_MAX = 0.060
BURST_LENGTH_MIN = 6
BURST_LENGTH_MAX = 128
BURST_DIGITS_MIN = 4
_CODE_CHARACTERS = frozenset(string.ascii_letters + string.digits + "-_.:/*+")
_LINK_STARTS = ("https://", "http://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """One key: Textual's name of it, its character if it has one, and when it came in seconds."""

    key: str
    character: str | None
    at: float
    event: object = None

    @property
    def is_printable(self) -> bool:
        return self.character is not None and self.character.isprintable()


@dataclass(frozen=True, slots=True)
class Pass:
    """A key for whoever has the focus."""

    press: Press


@dataclass(frozen=True, slots=True)
class Scan:
    """A scanned code. The first `leaked` characters have already been passed on and must be taken back."""

    text: str
    leaked: int


Output = Pass | Scan


def _is_same_letter(run: Iterable[Press]) -> bool:
    return len({press.character for press in run}) == 1


def is_claim(text: str) -> bool:
    """Return whether text is a claim code, or the link of one, by its shape."""
    return is_claim_code(normalise_claim_code(text))


def is_voucher(text: str) -> bool:
    """Return whether text is a voucher's code by its shape."""
    return is_voucher_code(normalise_voucher_code(text))


def is_code(text: str) -> bool:
    """Return whether text has the shape of a code; a person's words arriving in a clump have not."""
    # Neither needs to have a digit: the link in a letter's QR code, and a code in groups, which has its check character.
    if text.startswith(_LINK_STARTS):
        return " " not in text
    if "-" in text and text == text.upper() and (is_claim(text) or is_voucher(text)):
        return True
    digits = sum(character.isdigit() for character in text)
    return (
        len(text) >= BURST_LENGTH_MIN
        and digits >= BURST_DIGITS_MIN
        and _CODE_CHARACTERS.issuperset(text)
        and len(set(text)) > 1
    )


@dataclass(slots=True)
class Machine:
    """Holds the keys of a burst until it is known what they are."""

    gap_seconds_max: float = 0.035
    _run: list[Press] = field(default_factory=list)
    _leaked: int = 0
    _prefixed: bool = False
    _last_at: float = 0.0

    @property
    def wait_seconds(self) -> float | None:
        """How long after the last key the held ones must be let go; None when nothing is held."""
        if self._prefixed:
            return PREFIX_SECONDS_MAX
        if not self._run:
            return None
        return self._end_gap_seconds_max if len(self._run) >= BURST_LENGTH_MIN else self.gap_seconds_max

    @property
    def _end_gap_seconds_max(self) -> float:
        return max(END_GAP_SECONDS_MAX, self.gap_seconds_max)

    def feed(self, press: Press, *, in_text: bool) -> list[Output]:
        """Take the next key; `in_text` says that letters are text now and not commands."""
        late: list[Output] = []
        if self._prefixed:
            if press.at - self._last_at <= PREFIX_SECONDS_MAX and press.key != PREFIX_KEY:
                return self._feed_prefixed(press)
            late = self.let_go()
        if press.key == PREFIX_KEY:
            outputs = self.let_go()
            self._prefixed, self._last_at = True, press.at
            return late + outputs
        if press.is_printable:
            return late + self._feed_printable(press, in_text=in_text)
        return late + self._feed_other(press)

    def let_go(self) -> list[Output]:
        """Give the held keys back in order: it was a person, or the scanner never came to an end."""
        outputs: list[Output] = [Pass(press) for press in self._run[self._leaked :]]
        self._reset()
        return outputs

    def _reset(self) -> None:
        self._run, self._leaked, self._prefixed = [], 0, False

    def _feed_prefixed(self, press: Press) -> list[Output]:
        self._last_at = press.at
        if press.is_printable and len(self._run) < BURST_LENGTH_MAX:
            self._run.append(press)
            return []
        text = "".join(held.character or "" for held in self._run)
        if press.key in PREFIX_END_KEYS and text:
            self._reset()
            return [Scan(text, 0)]
        return [*self.let_go(), Pass(press)]

    def _feed_printable(self, press: Press, *, in_text: bool) -> list[Output]:
        continues = bool(self._run) and press.at - self._last_at <= self.gap_seconds_max
        if not continues or len(self._run) >= BURST_LENGTH_MAX:
            outputs = self.let_go()
            self._run = [press]
        else:
            outputs = []
            self._run.append(press)
        self._last_at = press.at
        # In a text field the first key is shown at once, and so is a key that is kept down: neither is a scan yet.
        if in_text and self._leaked == len(self._run) - 1 and _is_same_letter(self._run):
            self._leaked += 1
            outputs.append(Pass(press))
        return outputs

    def _feed_other(self, press: Press) -> list[Output]:
        text = "".join(held.character or "" for held in self._run)
        in_time = press.at - self._last_at <= self._end_gap_seconds_max
        if press.key in BURST_END_KEYS and in_time and is_code(text):
            leaked = self._leaked
            self._reset()
            return [Scan(text, leaked)]
        return [*self.let_go(), Pass(press)]
