"""Which JSON Schemas can be compared with those that ship."""

import msgspec
import pytest

needs_whole_schemas = pytest.mark.skipif(
    tuple(map(int, msgspec.__version__.split(".")[:2])) < (0, 22), reason="msgspec before 0.22 leaves out propertyNames"
)
