"""Killed at any moment, a measurement goes on where it was: no block lost, none done twice, the same end."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from devexplore.store import Store, Variable

WRITE = """
import sys
import numpy as np
from devexplore.store import Store, Variable, provenance
path, log = sys.argv[1:]
layout = {
    "token_loss": Variable(("sequence", "position"), (20, 60), np.float32),  # one file a step
    "test_loss": Variable((), (), np.float64),  # many steps a file
    "text": Variable(("sequence",), (20,), str),
}
steps = [int(s) for s in np.random.default_rng(1).permutation(70)]
with Store(path, mode="a") as store:
    store.put("probe", {"token": (("position",), np.arange(60))}, {}, {})
    for group in ("losses", "outputs/logits"):
        coords = {"position": np.arange(60)}
        writer = store.writer(group, {"a": 1}, layout, coords, {}, {"seed": 0})
        for step in steps:
            if step in writer.measured:
                continue
            rng = np.random.default_rng(step)
            loss = rng.normal(size=(20, 60)).astype(np.float32)
            arrays = {"token_loss": loss, "test_loss": loss.mean(), "text": np.array([f"{step}é"] * 20)}
            writer.write(step, f"hash{step}", arrays)
            with open(log, "a") as file:
                file.write(f"{group} {step}\\n")
"""


def start(path: Path, log: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WRITE, str(path), str(log)])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
@pytest.mark.parametrize("seed", range(3))
def test_a_measurement_killed_many_times_ends_as_an_uninterrupted_one(tmp_path: Path, seed: int):
    whole, killed = tmp_path / "whole.zarr", tmp_path / "killed.zarr"
    assert start(whole, tmp_path / "whole.log").wait() == 0
    moments, log, kills = random.Random(seed), tmp_path / "killed.log", 0
    while True:
        process = start(killed, log)
        # Waiting until the interpreter is up and writing makes every kill fall into the work itself.
        began = log.stat().st_size if log.exists() else 0
        while process.poll() is None and (log.stat().st_size if log.exists() else 0) == began:
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            break
        kills += 1
        if killed.exists():
            with Store(killed) as store:  # readable after every kill, and only complete blocks are seen
                assert store.verify() == []
                for group in store.open().subtree:
                    group.load()
    assert kills >= 3
    with Store(whole) as expected, Store(killed) as found:
        for group in ("losses", "outputs/logits", "probe"):
            ours, theirs = found.open()[group].to_dataset(), expected.open()[group].to_dataset()
            xr.testing.assert_equal(ours, theirs)
    done = log.read_text().splitlines()
    # A block is written down here after it is complete, so one that was done twice would stand here twice.
    assert len(done) == len(set(done))
    assert 140 - kills <= len(done) <= 140
    assert {path.name for path in tmp_path.iterdir()} <= {
        *("whole.zarr", "whole.log", "killed.zarr", "killed.log", "killed.zarr.lock")
    }


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_killed_before_each_single_file_appears_the_group_is_whole_in_the_end(tmp_path: Path):
    """Every write ends in one rename; here the process dies just before the n-th, for every n."""
    code = """
import os, pathlib, sys
path, deadline = sys.argv[1], int(sys.argv[2])
renames = 0
def deadly(rename):
    def die_or_do(self, *arguments):
        global renames
        renames += 1
        if renames == deadline:
            os.kill(os.getpid(), 9)
        return rename(self, *arguments)
    return die_or_do
pathlib.Path.replace = deadly(pathlib.Path.replace)
os.rename = deadly(os.rename)
import numpy as np
from devexplore.store import Store, Variable
layout = {"x": Variable(("a",), (2,), np.float32)}
with Store(path, mode="a") as store:
    writer = store.writer("g/h", {}, layout, {"a": np.arange(2)}, {}, {})
    for step in (5, 3):
        if step not in writer.measured:
            writer.write(step, f"h{step}", {"x": np.full(2, step, np.float32)})
"""
    for deadline in range(1, 100):
        run = tmp_path / str(deadline)
        path = run / "s.zarr"
        died = subprocess.run([sys.executable, "-c", code, str(path), str(deadline)], check=False).returncode
        if died:
            if path.exists():
                with Store(path) as store:
                    assert store.verify() == []
                    store.open().load()
            with Store(path, mode="a") as store:  # go on, in this process
                layout = {"x": Variable(("a",), (2,), np.float32)}
                writer = store.writer("g/h", {}, layout, {"a": np.arange(2)}, {}, {})
                for step in (5, 3):
                    if step not in writer.measured:
                        writer.write(step, f"h{step}", {"x": np.full(2, step, np.float32)})
        with Store(path) as store:
            group = store.open()["g/h"]
            assert group.step.values.tolist() == [3, 5]
            assert group.x.values.tolist() == [[3, 3], [5, 5]]
            assert store.verify() == []
        if not died:
            break
    assert deadline > 15
