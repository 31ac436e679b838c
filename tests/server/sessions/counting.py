"""A password hasher that counts, to show that two requests cost the same."""

from server.passwords import Passwords


class CountingPasswords(Passwords):
    """Counts the hashes it computes, whatever for."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_kib=8, parallelism=1, threads=2)
        self.count = 0

    async def verify(self, stored: str | None, password: str) -> bool:
        self.count += 1
        return await super().verify(stored, password)

    async def hash(self, password: str) -> str:
        self.count += 1
        return await super().hash(password)
