from collections.abc import Iterator, Mapping, Sequence

from pyarrow import Buffer, DataType, RecordBatch, Table

class ReadOptions:
    def __init__(self, *, use_threads: bool, column_names: Sequence[str], block_size: int) -> None: ...

class ConvertOptions:
    def __init__(
        self,
        *,
        column_types: Mapping[str, DataType],
        null_values: Sequence[str],
        true_values: Sequence[str],
        false_values: Sequence[str],
        strings_can_be_null: bool,
        quoted_strings_can_be_null: bool,
    ) -> None: ...

class CSVStreamingReader:
    def __iter__(self) -> Iterator[RecordBatch]: ...
    def read_all(self) -> Table: ...

def open_csv(
    input_file: Buffer, read_options: ReadOptions, *, convert_options: ConvertOptions
) -> CSVStreamingReader: ...
def read_csv(input_file: Buffer, read_options: ReadOptions, *, convert_options: ConvertOptions) -> Table: ...
