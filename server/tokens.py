"""Secrets that travel: session tokens, mailed links, keys. Only hashes of them are stored."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable
from uuid import UUID

from shared.codes import CODE_ALPHABET, make_claim_code, make_voucher_code
from shared.limits import CLAIM_CODE_LENGTH, VOUCHER_CODE_LENGTH


def voucher_code(tokens: "Tokens", voucher_id: UUID) -> str:
    """Return a voucher's code, made from its id and the service's secret: a lost answer can be given again, and a mail that
    waits holds no code.

    It is shown once; only its keyed hash is stored.
    """
    digest = tokens.keyed_hash("voucher-code", str(voucher_id))
    return make_voucher_code("".join(CODE_ALPHABET[byte % 32] for byte in digest[: VOUCHER_CODE_LENGTH - 1]))


def claim_code(tokens: "Tokens", code_id: UUID) -> str:
    """Return a claim code, made from its row's id and the service's secret, so that no answer, mail or file that waits
    holds one.
    """
    digest = tokens.keyed_hash("claim-code", str(code_id))
    return make_claim_code("".join(CODE_ALPHABET[byte % 32] for byte in digest[: CLAIM_CODE_LENGTH - 1]))


def hash_claim_code(tokens: "Tokens", code: str) -> bytes:
    """Return the keyed hash under which a normalised claim code is stored."""
    return tokens.keyed_hash("claim-code-of", code)


def hash_token(token: str) -> bytes:
    """Return the SHA-256 under which a token is stored; enough, as tokens carry 256 random bits."""
    return hashlib.sha256(token.encode()).digest()


class Tokens:
    """Makes tokens from a random source and from the service's secret.

    Args:
        secret: The service's secret key, 32 bytes or more.
        random_bytes: Source of random bytes; tests pass their own.
    """

    def __init__(self, secret: bytes, *, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._secret = secret
        self._random_bytes = random_bytes

    def new(self) -> str:
        """Return a fresh token of 256 random bits, 43 characters."""
        return _text(self._random_bytes(32))

    def derive(self, purpose: str, identity: UUID) -> str:
        """Return the token that belongs to a row.

        A queued mail holds only the row's id; the worker makes the link's token again when it sends, so that no
        usable token ever lies in the database.
        """
        return _text(self.keyed_hash(purpose, str(identity)))

    def keyed_hash(self, purpose: str, text: str) -> bytes:
        """Return HMAC-SHA256 of a short code or an address under the service's secret, 32 bytes."""
        return hmac.digest(self._secret, f"{purpose}\0{text}".encode(), "sha256")

    def successor(self, purpose: str, token: str) -> str:
        """Return the token that follows another; asking twice gives the same answer, without storing it."""
        return _text(self.keyed_hash(purpose, token))

    def random_digits(self, count: int) -> str:
        """Return `count` random decimal digits."""
        number = int.from_bytes(self._random_bytes(count), "big")
        return str(number % 10**count).zfill(count)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
