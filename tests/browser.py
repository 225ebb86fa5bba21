"""A real headless Chromium, spoken to through its own pipe: opens a page from disk, runs scripts, takes pictures."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
SIZE = (1240, 1000)


class Browser:
    """One open page. ``requests`` are the addresses that it asked for, ``faults`` what its console complained of."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers, self._buffer, self._number, self._session = commands, answers, b"", 0, ""
        self.requests: list[str] = []
        self.faults: list[str] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self._call(f"{domain}.enable")

    def open(self, address: str) -> None:
        self._call("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """Value of an expression; promises are awaited."""
        done = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait(self, condition: str, seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not self.run(condition):
            assert time.monotonic() < deadline, f"still not: {condition}; {self.faults}"
            time.sleep(0.05)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"]))

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            received = self._next()
            if received.get("id") == self._number:
                assert "error" not in received, received
                result: dict[str, Any] = received["result"]
                return result
            self._note(received)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], 60.0)
            chunk = os.read(self._answers, 2**20) if ready else b""
            assert chunk, "the browser is gone or silent"
            self._buffer += chunk
        message, self._buffer = self._buffer.split(b"\0", 1)
        received: dict[str, Any] = json.loads(message)
        return received

    def _note(self, event: dict[str, Any]) -> None:
        method, values = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(values["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.faults.append(str(values["exceptionDetails"]))
        elif method == "Log.entryAdded" and values["entry"]["level"] == "error":
            self.faults.append(values["entry"]["text"])


@contextlib.contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser with an empty profile, no network and WebGL2 by software; it ends with the block."""
    assert CHROMIUM is not None
    command_end, commands = os.pipe()
    answers, answer_end = os.pipe()
    far = [fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (command_end, answer_end)]
    ends = f'exec "$0" "$@" 3<&{far[0]} 4>&{far[1]}'  # Chromium reads commands from 3 and answers on 4

    arguments = [
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--remote-debugging-pipe",
        f"--user-data-dir={profile}", f"--window-size={SIZE[0]},{SIZE[1]}", "--hide-scrollbars", "--no-first-run",
        "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND", "--use-angle=swiftshader",
        "--use-gl=angle", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist",
    ]  # fmt: skip
    process = subprocess.Popen(
        ["bash", "-c", ends, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=far
    )
    for end in (command_end, answer_end, *far):
        os.close(end)
    try:
        yield Browser(commands, answers)
    finally:
        process.kill()
        process.wait()
        os.close(commands)
        os.close(answers)
