"""JupyterLab as a user has it: a server and a kernel of its own, driven in headless Chromium."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

LONG = 90_000

SESSION = "window.jupyterapp?.shell.currentWidget?.sessionContext"

# Runs Python in the notebook's own kernel, and gives what it prints.
EXECUTE = """async code => {
  const {kernel} = window.jupyterapp.shell.currentWidget.sessionContext.session;
  const future = kernel.requestExecute({code, store_history: false});
  let said = "";
  future.onIOPub = message => {
    if (message.header.msg_type === "stream") said += message.content.text;
    if (message.header.msg_type === "error") said += message.content.traceback.join("\\n");
  };
  await future.done;
  return said; }"""

COMMAND = "([name, options]) => window.jupyterapp.commands.execute(name, options).then(() => true)"


class Lab:
    """A running JupyterLab: its address, and the folder it shows."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder = folder / "work"
        self.folder.mkdir()
        config = folder / "config"
        (config / "labconfig").mkdir(parents=True)
        (config / "labconfig" / "page_config.json").write_text(json.dumps(settings))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        own = {
            "JUPYTER_CONFIG_DIR": str(config),
            "JUPYTER_DATA_DIR": str(folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
            "IPYTHONDIR": str(folder / "ipython"),
        }
        options = [
            "--no-browser",
            "--allow-root",
            "--expose-app-in-browser",
            f"--port={port}",
            f"--ServerApp.root_dir={self.folder}",
            "--IdentityProvider.token=",
            "--LabApp.news_url=",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        ]
        self._log = (folder / "log").open("w")
        self._server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options],
            env={**os.environ, **own},
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self._wait(folder / "log")

    def _wait(self, log: Path) -> None:
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"{self.address}/api", timeout=5):
                    return
            except OSError:
                time.sleep(0.2)
        pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")

    def write(self, name: str, cells: list[str]) -> Path:
        """A notebook with these cells."""
        file = self.folder / name
        written = [
            {
                "cell_type": "code",
                "id": f"c{i}",
                "metadata": {},
                "execution_count": None,
                "outputs": [],
                "source": c,
            }
            for i, c in enumerate(cells)
        ]
        spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        held = {"cells": written, "metadata": {"kernelspec": spec}, "nbformat": 4, "nbformat_minor": 5}
        file.write_text(json.dumps(held))
        return file

    def stop(self) -> None:
        self._server.terminate()
        try:
            self._server.wait(20)
        except subprocess.TimeoutExpired:
            self._server.kill()
        self._log.close()


class Notebook:
    """A notebook open in the browser."""

    def __init__(self, page: Any, lab: Lab, file: Path) -> None:
        self.page, self.lab, self.file = page, lab, file
        self.errors: list[str] = []
        self.outside: list[str] = []
        page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self._note(request.url))
        page.on("websocket", lambda socket: self._note(socket.url))
        self.open()

    def _note(self, url: str) -> None:
        host = url.split("//", 1)[-1].split("/")[0].split(":")[0]
        if not url.startswith(("data:", "blob:")) and host not in ("127.0.0.1", "localhost"):
            self.outside.append(url)

    def open(self) -> None:
        """Load the page anew; the kernel lives on."""
        self.page.goto(f"{self.lab.address}/lab/tree/{self.file.name}?reset")
        self.page.wait_for_function(
            "() => window.jupyterapp?.shell.currentWidget?.sessionContext", timeout=LONG
        )
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.ready")
        self.page.locator(".jp-CodeCell").first.wait_for(timeout=LONG)
        self.command("application:toggle-left-area")

    def command(self, name: str, **options: Any) -> None:
        self.page.evaluate(COMMAND, [name, options])

    def run_all(self) -> None:
        self.command("notebook:run-all-cells")

    def python(self, code: str) -> str:
        """What this prints in the notebook's kernel."""
        return self.page.evaluate(EXECUTE, code).strip()

    def until(self, code: str, wanted: str) -> None:
        """Wait until the kernel's Python gives this."""
        seen = ""
        for _ in range(120):
            seen = self.python(f"print({code})")
            if seen == wanted:
                return
            self.page.wait_for_timeout(250)
        assert seen == wanted, f"{code} is {seen}"

    def saved(self) -> dict[str, Any]:
        """The notebook's file, saved now."""
        self.command("docmanager:save")
        self.page.wait_for_timeout(500)
        return json.loads(self.file.read_text(encoding="utf-8"))

    def close(self) -> None:
        """End its kernel, and close it."""
        if not self.page.is_closed():
            self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
            self.page.close()
