"""The hook that strips notebooks of their outputs when they are committed, in a repository of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook, new_output

HOOKS = Path(__file__).parent.parent / ".githooks"
TOOLS = ("bash", "env", "git")
"""What the hook uses, besides nbstripout."""


class Repository:
    """A repository whose commits pass the hook, and that knows no settings of the user's."""

    def __init__(self, folder: Path, path: str):
        self.folder = folder
        self.environment = {
            "PATH": path,
            "HOME": str(folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            **{f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("config", "core.hooksPath", str(HOOKS))

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", *words], cwd=self.folder, env=self.environment, capture_output=True, text=True
        )

    def git(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def committed(self, name: str) -> NotebookNode:
        return nbformat.reads(self.git("show", f"HEAD:{name}"), as_version=4)


def notebook(text: str = "3") -> NotebookNode:
    """As Jupyter saves one that was run."""
    cell = new_code_cell("1 + 2", id="kept", execution_count=7, outputs=[new_output("stream", text=text)])
    cell.metadata["execution"] = {"iopub.execute_input": "2026-01-01T00:00:00Z"}
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python", "version": "3.11.7", "mimetype": "text/x-python"},
        "widgets": {"application/vnd.jupyter.widget-state+json": {"state": {}}},
    }
    return new_notebook(cells=[cell], metadata=metadata)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    folder = tmp_path / "repository"
    folder.mkdir()
    return Repository(folder, os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))


@pytest.mark.parametrize("name", ["seen.ipynb", "with a space/naïve [1].ipynb"])
def test_a_notebook_is_committed_without_outputs_and_the_file_keeps_them(repository: Repository, name: str):
    file = repository.folder / name
    file.parent.mkdir(exist_ok=True)
    nbformat.write(notebook(), file)
    before = file.read_bytes()
    repository.git("add", "--", name)
    repository.git("commit", "--quiet", "--message", "first")
    (cell,) = repository.committed(name).cells
    assert (cell.source, cell.id, cell.outputs, cell.execution_count) == ("1 + 2", "kept", [], None)
    assert file.read_bytes() == before


def test_of_the_metadata_only_the_kernel_is_left(repository: Repository):
    nbformat.write(notebook(), repository.folder / "seen.ipynb")
    repository.git("add", "seen.ipynb")
    repository.git("commit", "--quiet", "--message", "first")
    committed = repository.committed("seen.ipynb")
    assert committed.metadata == {
        "kernelspec": notebook().metadata["kernelspec"],
        "language_info": {"name": "python"},
    }
    assert committed.cells[0].metadata == {}


def test_what_was_not_staged_is_not_committed(repository: Repository):
    nbformat.write(notebook(), repository.folder / "seen.ipynb")
    repository.git("add", "seen.ipynb")
    later = notebook()
    later.cells[0].source = "not yet"
    nbformat.write(later, repository.folder / "seen.ipynb")
    repository.git("commit", "--quiet", "--message", "first")
    assert repository.committed("seen.ipynb").cells[0].source == "1 + 2"


def test_a_notebook_named_to_commit_is_refused_rather_than_left_staged_with_outputs(repository: Repository):
    repository.git("commit", "--quiet", "--allow-empty", "--message", "first")
    nbformat.write(notebook(), repository.folder / "seen.ipynb")
    repository.git("add", "seen.ipynb")
    refused = repository.run("commit", "--message", "second", "--", "seen.ipynb")
    assert refused.returncode == 1
    assert "git add it, then git commit" in refused.stderr
    repository.git("commit", "--quiet", "--message", "second")
    assert repository.committed("seen.ipynb").cells[0].outputs == []


def test_what_is_no_notebook_is_refused(repository: Repository):
    (repository.folder / "broken.ipynb").write_text("{", encoding="utf-8")
    repository.git("add", "broken.ipynb")
    refused = repository.run("commit", "--message", "first")
    assert refused.returncode == 1
    assert "broken.ipynb cannot be stripped" in refused.stderr


def test_without_nbstripout_notebooks_are_refused_and_other_files_are_not(tmp_path: Path):
    tools, folder = tmp_path / "tools", tmp_path / "repository"
    tools.mkdir()
    folder.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None, f"{tool} is not installed"
        (tools / tool).symlink_to(found)
    repository = Repository(folder, str(tools))
    (folder / "text.txt").write_text("anything", encoding="utf-8")
    repository.git("add", "text.txt")
    repository.git("commit", "--quiet", "--message", "first")
    nbformat.write(notebook(), folder / "seen.ipynb")
    repository.git("add", "seen.ipynb")
    refused = repository.run("commit", "--message", "second")
    assert refused.returncode == 1
    assert "nbstripout" in refused.stderr
    assert "pip install" in refused.stderr
