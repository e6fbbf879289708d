"""What we use of hiredis; its own stub declares the command of pack_command as a tuple of one."""

from collections.abc import Callable, Sequence

class Reader:
    def __init__(
        self,
        *,
        encoding: str | None = ...,
        errors: str | None = ...,
        replyError: Callable[[str], Exception] = ...,
        protocolError: Callable[[str], Exception] = ...,
        notEnoughData: object = ...,
    ) -> None: ...
    def feed(self, data: bytes) -> None: ...
    def gets(self) -> object: ...

def pack_command(command: Sequence[str | bytes | int | float], /) -> bytes: ...
