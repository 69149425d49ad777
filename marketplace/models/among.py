"""A lookup for lists of values, such as `pk__among=ids`: like `in`, and on PostgreSQL one parameter.

So the statement's text is the same for lists of all lengths, and it is planned once a connection.
"""

from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.models import Field
from django.db.models.lookups import In


@Field.register_lookup
class Among(In):
    lookup_name = "among"

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        field: Any = self.lhs.output_field
        wanted = [field.get_db_prep_value(value, connection, prepared=True) for value in self.rhs]
        if not wanted:
            raise EmptyResultSet
        column, params = self.process_lhs(compiler, connection)
        return f"{column} = ANY(%s::{type_of(field, connection)}[])", [*params, wanted]


def type_of(field: Any, connection: Any) -> str:
    """The type of a field's values, without a length: a cast to one would cut what is longer, and nobody refuse it."""
    return str(field.rel_db_type(connection) if field.primary_key else field.db_type(connection)).partition("(")[0]
