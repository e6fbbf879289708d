from datetime import datetime

class RunIdentifier:
    def __init__(self, run_name: str | None = ..., run_time: datetime | None = ...) -> None: ...
