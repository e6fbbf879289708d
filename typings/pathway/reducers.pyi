from pathway import ColumnExpression

def count() -> ColumnExpression: ...
def sum(expression: ColumnExpression) -> ColumnExpression: ...  # noqa: A001 - the library's own name
