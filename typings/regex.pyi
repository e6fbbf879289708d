"""What we use of regex."""

V0: int

class error(Exception): ...
class Match: ...

class Pattern:
    def search(self, string: str, *, timeout: float | None = ...) -> Match | None: ...

def compile(pattern: str, flags: int = ...) -> Pattern: ...  # noqa: A001 - the library's own name
