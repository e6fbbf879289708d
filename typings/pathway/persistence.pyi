from os import PathLike

class Backend:
    @classmethod
    def filesystem(cls, path: str | PathLike[str]) -> Backend: ...

class Config:
    def __init__(self, backend: Backend, *, snapshot_interval_ms: int = 0) -> None: ...
