"""A browser's end of a WebSocket, against the ASGI application itself."""

from typing import Any

from asgiref.testing import ApplicationCommunicator


class Socket:
    """One connection. (`channels.testing` wants another ASGI server than ours.)"""

    def __init__(self, application: Any, path: str, **scope: Any) -> None:
        fixed = {"type": "websocket", "path": path, "query_string": b"", "headers": [], "subprotocols": []}
        self._application = ApplicationCommunicator(application, {**fixed, **scope})

    async def open(self) -> bool:
        """Whether it was let in."""
        await self._application.send_input({"type": "websocket.connect"})
        return (await self.output())["type"] == "websocket.accept"

    async def output(self) -> dict[str, Any]:
        return await self._application.receive_output(timeout=5)

    async def html(self) -> str:
        """The next thing that is sent."""
        message = await self.output()
        assert message["type"] == "websocket.send", message
        return message["text"]

    async def close(self) -> None:
        await self._application.send_input({"type": "websocket.disconnect", "code": 1001})
        await self._application.wait(timeout=5)
