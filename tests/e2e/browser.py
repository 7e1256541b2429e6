"""A headless Chromium, spoken to by the DevTools protocol: what a test does as a person would."""

import asyncio
import base64
import itertools
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
STARTUP_S = 60.0
_PATIENCE_S = 30.0
_POLL_S = 0.05


class Page:
    """One tab.

    Parameters
    ----------
    socket, session
        The connection, and the tab's name on it.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, session: str) -> None:
        self._socket = socket
        self._session = session
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.complaints: list[str] = []
        self.reading = asyncio.create_task(self._read())

    async def send(self, method: str, **params: Any) -> dict[str, Any]:  # noqa: ANN401  parameters of the protocol
        """Call a method of the protocol and return its result."""
        number = next(self._numbers)
        answer = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        call = {"id": number, "sessionId": self._session, "method": method, "params": params}
        await self._socket.send_json(call)
        async with asyncio.timeout(_PATIENCE_S):
            said: dict[str, Any] = await answer
        assert "error" not in said, f"{method}: {said['error']}"
        result: dict[str, Any] = said["result"]
        return result

    async def _read(self) -> None:
        async for message in self._socket:
            said = json.loads(message.data)
            waiting = self._answers.pop(said.get("id", 0), None)
            if waiting is not None and not waiting.done():
                waiting.set_result(said)
            elif said.get("method") == "Log.entryAdded":
                self.complaints.append(said["params"]["entry"]["text"])
            elif said.get("method") == "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(said["params"]["exceptionDetails"]))

    async def start(self) -> None:
        """Listen for what the browser complains about."""
        for domain in ("Page", "Runtime", "Log"):
            await self.send(f"{domain}.enable")

    async def goto(self, url: str) -> None:
        """Open an address and wait until it is loaded."""
        said = await self.send("Page.navigate", url=url)
        assert not said.get("errorText"), said["errorText"]
        await self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    async def evaluate(self, expression: str) -> Any:  # noqa: ANN401  any JSON value
        """Return the value of an expression, awaited if it is a promise."""
        said = await self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in said, said["exceptionDetails"]
        return said["result"].get("value")

    async def until(self, expression: str) -> None:
        """Wait until an expression is true; a page that goes on meanwhile is asked again."""
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                try:
                    if await self.evaluate(f"Boolean({expression})"):
                        return
                except AssertionError:
                    pass
                await asyncio.sleep(_POLL_S)

    async def press(self, key: str, code: int, n_times: int = 1) -> None:
        """Press a key of the keyboard."""
        for _ in range(n_times):
            for kind in ("rawKeyDown", "keyUp"):
                await self.send(
                    "Input.dispatchKeyEvent",
                    type=kind,
                    key=key,
                    code=key,
                    windowsVirtualKeyCode=code,
                    **({"text": "\r"} if key == "Enter" and kind == "rawKeyDown" else {}),
                )

    async def prefers(self, **features: str) -> None:
        """Say what the person prefers, as ``color_scheme="dark"``."""
        given = [
            {"name": f"prefers-{name.replace('_', '-')}", "value": value}
            for name, value in features.items()
        ]
        await self.send("Emulation.setEmulatedMedia", features=given)

    async def photograph(self, width: int, height: int) -> bytes:
        """Take a picture of the upper part of the page, a PNG."""
        await self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        said = await self.send("Page.captureScreenshot", format="png")
        return base64.b64decode(said["data"])


@asynccontextmanager
async def opened(profile: Path) -> AsyncIterator[Page]:
    """Start a browser without a past and yield its tab."""
    process = await asyncio.create_subprocess_exec(
        str(CHROMIUM),
        *FLAGS,
        "--remote-debugging-port=0",
        f"--user-data-dir={profile}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        address = await _address(profile / "DevToolsActivePort")
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(address, max_msg_size=0) as socket,
        ):
            page = Page(socket, await _attached(socket))
            await page.start()
            try:
                yield page
            finally:
                page.reading.cancel()
                await asyncio.wait([page.reading])
    finally:
        process.terminate()
        await process.wait()


async def _address(file: Path) -> str:
    async with asyncio.timeout(STARTUP_S):
        while not file.exists() or "\n" not in file.read_text():  # noqa: ASYNC110, ASYNC240  the browser writes it
            await asyncio.sleep(_POLL_S)
    port, path = file.read_text().split("\n", 1)  # noqa: ASYNC240  two lines
    return f"ws://127.0.0.1:{port}{path.strip()}"


async def _attached(socket: aiohttp.ClientWebSocketResponse) -> str:
    """Return the session of the first tab."""
    await socket.send_json({"id": -1, "method": "Target.getTargets"})
    found = (await _answer(socket, -1))["targetInfos"]
    target = next(each["targetId"] for each in found if each["type"] == "page")
    attach = {"targetId": target, "flatten": True}
    await socket.send_json({"id": -2, "method": "Target.attachToTarget", "params": attach})
    session: str = (await _answer(socket, -2))["sessionId"]
    return session


async def _answer(socket: aiohttp.ClientWebSocketResponse, number: int) -> dict[str, Any]:
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            said = await socket.receive_json()
            if said.get("id") == number:
                result: dict[str, Any] = said["result"]
                return result
