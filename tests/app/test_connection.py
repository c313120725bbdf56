"""The server ends under an open page."""

import socket
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.browser


def listens(port):
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


def test_when_the_server_ends_the_page_says_so_and_nothing_that_needs_it_hangs(browser, runs):
    command = [
        sys.executable,
        "-m",
        "devexplore.cli",
        "explore",
        str(runs[0].path),
        "--no-browser",
        "--port",
        "0",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        try:
            address = server.stdout.readline().split()[1]
            port = int(address.rstrip("/").rpartition(":")[2])
            while not listens(port) and server.poll() is None:
                time.sleep(0.1)
            page.goto(address)
            page.locator(".chip").first.wait_for(timeout=60_000)
            page.wait_for_timeout(1500)
            server.kill()
            page.get_by_text("The server has ended", exact=True).wait_for(timeout=30_000)
            page.get_by_role("button", name="Add a boundary at the current step").click()
            page.locator("section[aria-label=Timeline]").get_by_text("start devexplore again").wait_for()
            before = page.locator("output b").inner_text()
            page.keyboard.press("ArrowLeft")
            page.wait_for_timeout(300)
            assert page.locator("output b").inner_text() != before
        finally:
            server.kill()
            page.close()
