"""A table becomes a run that opens, has stages and a page; what cannot be a curve is refused by its line."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import devexplore as dx
from devexplore.analysis.trust import count_verdicts, trust
from devexplore.app.page import derive
from devexplore.app.selection import Selection
from devexplore.app.session import Session
from devexplore.cli import main
from devexplore.errors import MissingExtra, NotMeasured, NotWritable, RunNotFound, SchemaError, StoreConflict
from devexplore.upkeep import check_run, pack_run
from devexplore.views.llc_row import llc_row
from devexplore.views.style import LIGHT

CURVE = "step,llc,llc_se,loss,Grad Norm,run\n0,1,0.5,4,1.5,a\n10,3,0.5,3,,a\n100,,,2,2.5,a\n"


@pytest.fixture
def table(tmp_path: Path):
    def write(text: str, name: str = "curve.csv") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="module")
def bundled() -> pd.DataFrame:
    """Loss and LLC of the bundled deep linear run, as one would write them down."""
    run = dx.open("deep_linear")
    llc = run.dataset("llc")[["llc", "llc_se"]].to_dataframe()[["llc", "llc_se"]]
    loss = run.dataset("losses")["test_loss"].to_dataframe()[["test_loss"]]
    return loss.join(llc, how="outer").reset_index().astype(np.float64)


@pytest.fixture
def bundled_run(bundled: pd.DataFrame, tmp_path: Path) -> dx.Run:
    """Every fourth checkpoint of it, imported."""
    bundled[::4].to_csv(tmp_path / "bundled.csv", index=False)
    return dx.import_table(tmp_path / "bundled.csv", tmp_path / "bundled")


def test_columns_go_where_their_names_belong_each_at_its_own_steps(table, tmp_path: Path) -> None:
    run = dx.import_table(table(CURVE), tmp_path / "run")
    assert (run.system, run.name, run.groups) == ("table", "run", ("llc", "losses", "metrics"))
    assert run.recipe["table"]["left_out"] == ["run"]
    llc = run.dataset("llc")
    assert llc["step"].values.tolist() == [0, 10]
    assert llc["llc"].values.tolist() == [1, 3]
    assert run.dataset("losses")["test_loss"].values.tolist() == [4, 3, 2]
    assert run.dataset("metrics")["grad_norm"].sel(step=[0, 100]).values.tolist() == [1.5, 2.5]
    assert run.dataset("metrics")["step"].values.tolist() == [0, 100]


def test_a_bundled_run_comes_back_with_the_same_stages(bundled: pd.DataFrame, tmp_path: Path) -> None:
    columns = (bundled[name].to_numpy() for name in ("step", "llc", "llc_se", "test_loss"))
    expected = dx.find_stages(*columns)
    assert expected.sizes["stage"] >= 3
    bundled.to_csv(tmp_path / "bundled.csv", index=False)
    run = dx.import_table(tmp_path / "bundled.csv", tmp_path / "bundled")
    assert dx.find_stages(run).equals(expected)


@pytest.mark.parametrize(
    "text",
    [
        CURVE.replace(",", ";"),
        CURVE.replace(",", "\t"),
        "\ufeff" + CURVE,
        CURVE.replace("step,", "Step ,"),
        CURVE.replace("\n", "\r\n"),
        CURVE + "\n\n",
        CURVE.replace("\n", ",\n"),
        CURVE.replace("10,3,", "10, 3 ,").replace(",,", ",NaN,"),
        ",step,llc,llc_se,loss,grad norm,run\n"
        + "".join(f"{i},{row}\n" for i, row in enumerate(CURVE.split("\n")[1:4])),
        "\n".join([CURVE.split("\n")[0], *reversed(CURVE.split("\n")[1:4])]) + "\n",
    ],
    ids=[
        "semicolons",
        "tabs",
        "BOM",
        "Step",
        "CRLF",
        "empty lines",
        "last comma",
        "blanks and NaN",
        "index",
        "last step first",
    ],
)
def test_tables_are_read_as_people_write_them(text: str, table, tmp_path: Path) -> None:
    plain = dx.import_table(table(CURVE, "plain.csv"), tmp_path / "plain")
    run = dx.import_table(table(text), tmp_path / "run")
    assert run.groups == plain.groups
    for group in plain.groups:
        values = plain.dataset(group).drop_vars("content_hash")
        assert run.dataset(group).drop_vars("content_hash").equals(values)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "there are no columns"),
        ("step,loss\n1,2\n9007199254740992,3\n", "below 2.53, got 9.0072e.15 in line 3"),
        ("step,loss\n1,2,7\n2,3,7\n", "line 2 has 3 cells and the first line 2"),
        ("step,loss,acc\n1,2,3\n2,3\n", "line 3 has 2 cells and the first line 3"),
        ('step,loss\n1,"2\n\n2",3\n', "line 4 has 3 cells"),
        ('step,loss\n1,"2\n', "line 2: unexpected end"),
        ("step,loss,loss\n1,2,3\n2,3,4\n", "'loss' and 'loss' would both be test_loss"),
        ("step,acc,acc\n1,2,3\n2,3,4\n", "would both be acc"),
        ("step;loss;acc\n1;2,5;3\n2;3,5;4\n", "line 2 holds '2,5' in loss; write decimals with a point"),
        ("step;loss\n1;2\n2;-3,5e-1\n", "line 3 holds '-3,5e-1' in loss; write decimals with a point"),
        ('step,loss\n"1,000",2\n"2,000",3\n', "line 2 holds '1,000' in step; .* thousands without"),
        (f"step,{'a' * 300}\n1,2\n2,3\n", "cannot be called"),
        ("step,loss\n", "two steps and one column of numbers or more, got 0 and 0"),
        ("step,loss\n5,1\n", "got 1 and 1"),
        ("step,loss\n5,\n6,\n", "got 2 and 0"),
        ("step,name\n5,a\n6,b\n", "got 2 and 0"),
        ("epoch,loss\n1,2\n2,3\n", "no column step .*there are epoch, loss"),
        ("step,loss\n1,2\n1,3\n", "step 1 is in line 2 and line 3"),
        ("step,loss\n1,2\n,3\n", "got none in line 3"),
        ("step,loss\n1,2\n2.5,3\n", "got 2.5 in line 3"),
        ("step,loss\n-1,2\n2,3\n", "got -1 in line 2"),
        ("step,loss\nfirst,2\nlast,3\n", "got none in line 2"),
        ("step,loss\n1,2\n2,three\n", "line 3 holds 'three' in loss"),
        ("step,loss\n1,2\n\n2,three\n", "line 4 holds 'three' in loss"),
        ("step,loss\n1,2\n2,inf\n", "line 3 holds an infinite loss"),
        ("step,llc,llc_se\n1,2,-0.5\n2,3,1\n", "got -0.5 in line 2"),
        ("step,llc_se\n1,2\n2,3\n", "llc_se .* and no llc"),
        ("step,loss,test_loss\n1,2,3\n2,3,4\n", "'loss' and 'test_loss' would both be test_loss"),
        ("step,a b,a-b\n1,2,3\n2,3,4\n", "would both be a_b"),
        ("step,measured\n1,2\n2,3\n", "cannot be called 'measured'"),
        ("step,loss\n1,2\n2,3,4,5\n", "line 3"),
    ],
)
def test_what_cannot_be_a_curve_is_refused_in_one_line_and_leaves_nothing(
    text: str, says: str, table, tmp_path: Path
) -> None:
    source = table(text)
    with pytest.raises(SchemaError, match=says) as error:
        dx.import_table(source, tmp_path / "run")
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == [source]


def test_files_that_are_no_tables_or_not_there_are_refused(table, tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"ends in one of \.csv"):
        dx.import_table(table(CURVE, "curve.xlsx"), tmp_path / "run")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(SchemaError, match="no table in CSV"):
        dx.import_table(tmp_path / "bytes.csv", tmp_path / "run")
    with pytest.raises(RunNotFound, match="no such file"):
        dx.import_table(tmp_path / "gone.csv", tmp_path / "run")


def test_parquet_is_read_where_it_can_be_and_otherwise_the_way_is_named(
    bundled: pd.DataFrame, bundled_run: dx.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pyarrow is optional: what it would read stands in here."""
    (tmp_path / "curve.parquet").write_bytes(b"PAR1")
    monkeypatch.setattr(pd, "read_parquet", lambda _: bundled[::4].set_index("step"))
    run = dx.import_table(tmp_path / "curve.parquet", tmp_path / "run")
    for group in bundled_run.groups:
        values = bundled_run.dataset(group).drop_vars("content_hash")
        assert run.dataset(group).drop_vars("content_hash").equals(values)

    def lacking(_):
        raise ImportError("Unable to find a usable engine")

    monkeypatch.setattr(pd, "read_parquet", lacking)
    with pytest.raises(MissingExtra, match=r"pip install 'devexplore\[parquet\]'"):
        dx.import_table(tmp_path / "curve.parquet", tmp_path / "again")


def test_nothing_that_is_there_is_overwritten(table, tmp_path: Path) -> None:
    run = dx.import_table(table(CURVE), tmp_path / "run")
    before = (run.path / "run.json").read_bytes()
    for out in (run.path, run.path / "run.json"):
        with pytest.raises(StoreConflict, match="exists and is not empty"):
            dx.import_table(table(CURVE), out)
    assert (run.path / "run.json").read_bytes() == before


def test_a_folder_that_cannot_be_made_is_told_and_nothing_is_left(table, tmp_path: Path) -> None:
    source = table(CURVE)
    for name in ("x" * 300, "x" * 250):
        with pytest.raises(NotWritable, match=r"File name too long\); choose another"):
            dx.import_table(source, tmp_path / name)
    assert list(tmp_path.iterdir()) == [source]


def test_a_table_run_is_whole_packs_and_keeps_the_users_boundaries(bundled_run, tmp_path: Path) -> None:
    chosen = dx.boundaries(bundled_run).accept().name_stage(1, "rest")
    dx.save_boundaries(bundled_run, chosen)
    packed = dx.open(pack_run(bundled_run.path, tmp_path / "packed"))
    assert check_run(bundled_run.path) == check_run(packed.path) == []
    assert dx.find_stages(packed).equals(dx.find_stages(bundled_run))
    assert dx.find_stages(packed)["name"].values[0] == "rest"


def test_an_llc_without_its_chains_is_not_judged_but_for_its_sign(bundled_run: dx.Run) -> None:
    llc = bundled_run.dataset("llc")
    judged = trust(llc)
    below = llc["llc"] < -3 * llc["llc_se"]
    assert (judged["verdict"].values[below] == 2).all()
    assert (judged["verdict"].values[llc["llc"] > 0] == 0).all()
    words = [count.words for count in count_verdicts(judged)]
    assert words[0].endswith("not judged")
    assert not any("trusted" in word for word in words)
    assert "R̂" not in str(llc_row(llc, judged, LIGHT).traces)


def test_an_empty_folder_and_the_folder_one_is_in_can_become_the_run(table, tmp_path, monkeypatch) -> None:
    source = table(CURVE)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert dx.import_table(source, ".").name == "here"
    assert dx.open(here).groups == ("llc", "losses", "metrics")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curve.csv", "here"]


def test_nothing_can_be_measured_on_a_table_and_no_command_is_offered_for_it(
    bundled_run: dx.Run, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NotMeasured, match="imported from a table") as error:
        bundled_run.dataset("chains")
    assert "devexplore measure" not in str(error.value)
    path = str(bundled_run.path)
    for command in (["measure", path], ["calibrate", path]):
        assert main(command) == 2
        assert "imported from a table" in capsys.readouterr().err
    assert main(["train", "superposition", "--out", path]) == 2
    assert bundled_run.groups == dx.open(path).groups
    with pytest.raises(NotMeasured, match="no network that could be measured"):
        dx.essential_dynamics(bundled_run)


def test_the_page_of_a_table_shows_its_curves_and_says_what_a_table_has_not(bundled_run, table, tmp_path):
    metrics = dx.import_table(table("step,accuracy\n0,0.1\n10,0.5\n90,0.7\n"), tmp_path / "metrics")
    derived = derive([bundled_run, metrics])
    for one in derived.values():
        one.stages.future.result()
        with pytest.raises(NotMeasured, match="it has no network, so nothing can be measured on it"):
            one.dynamics.future.result()
    session = Session(derived, Selection(run="bundled"))
    shell, timeline, tokens, trajectory = (
        json.loads(pane.payload)
        for pane in (session.shell, *(session.viewers[name] for name in ("timeline", "tokens", "trajectory")))
    )
    assert shell["description"].startswith("imported table")
    assert shell["stages"][0]["name"] == "S1"
    assert [row["title"] for row in timeline["rows"]] == ["test loss", "LLC"]
    assert timeline["trust"]["note"].startswith("LLC judged by its sign alone")
    assert "not in this table" in tokens["message"]["title"]
    assert "imported from a table" in trajectory["message"]["text"]
    assert "devexplore measure" not in json.dumps([shell, timeline, tokens, trajectory])
    start = dx.import_table(table("step,loss\n0,1\n5,\n"), tmp_path / "start")
    begun = Session(derive([start]), Selection(run="start")).viewers["timeline"]
    axis = json.loads(begun.payload)["figure"]["layout"]
    low, high = axis["xaxis"]["range"]
    assert low < 0 < high  # a run that ends at step 0 still has an axis
    session = Session(derived, Selection(run="metrics"))
    assert [row["title"] for row in json.loads(session.viewers["timeline"].payload)["rows"]] == ["accuracy"]
    assert "neither LLC nor loss" in json.loads(session.shell.payload)["note"]
