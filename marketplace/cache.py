"""How the cache keeps values in Redis: as JSON. (Django's own way is pickle, which runs what it reads.)"""

import json
from typing import Any


class JSONSerializer:
    """For `CACHES["default"]["OPTIONS"]["serializer"]`. Whole numbers stay as they are, so that Redis can count."""

    def dumps(self, value: Any) -> int | bytes:
        if type(value) is int:
            return value
        return json.dumps(value).encode()

    def loads(self, content: bytes) -> Any:
        return json.loads(content)
