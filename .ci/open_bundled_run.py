"""Start an installed devexplore outside the checkout and look at its page in a browser cut off."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

LIMIT_SECONDS = 120


def main(program: str) -> None:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port = trial.getsockname()[1]
    with tempfile.TemporaryDirectory() as elsewhere:
        environment = {**os.environ, "DEVEXPLORE_CACHE": f"{elsewhere}/cache"}
        server = subprocess.Popen(
            [Path(program).resolve(), "explore", "--no-browser", "--port", str(port)],
            cwd=elsewhere,
            env=environment,
        )
        try:
            look(f"http://127.0.0.1:{port}/", server)
        finally:
            server.terminate()
            server.wait(20)


def leaves(url: str) -> bool:
    """Whether a request would leave this machine."""
    return url.startswith(("http", "ws")) and "//127.0.0.1" not in url


def look(address: str, server: subprocess.Popen[bytes]) -> None:
    problems: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost, EXCLUDE 127.0.0.1",
            ],
        )
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda sent: problems.append(sent.url) if leaves(sent.url) else None)
        started = time.monotonic()
        while True:
            if server.poll() is not None:
                sys.exit(f"the server ended with code {server.returncode}")
            try:
                page.goto(address)
                break
            except Exception as error:  # noqa: BLE001 - whatever the browser says while the server starts
                if time.monotonic() - started > LIMIT_SECONDS:
                    sys.exit(f"no page at {address}: {error}")
                time.sleep(0.5)
        page.get_by_text("language transformer").first.wait_for(timeout=LIMIT_SECONDS * 1000)
        page.locator(".js-plotly-plot").first.wait_for(timeout=LIMIT_SECONDS * 1000)
        print(f"page with a plot after {time.monotonic() - started:.1f} s: {page.title()}")
        browser.close()
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main(sys.argv[1])
