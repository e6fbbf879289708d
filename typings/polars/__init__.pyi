"""What we use of Polars."""

import pyarrow as pa

class DataFrame:
    def __init__(self, data: pa.Table) -> None: ...
