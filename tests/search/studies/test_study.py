"""Studies: where they are kept, and what they refuse."""

import json

import pytest

from keras_effnetv2.search.sampling.samplers import create_sampler
from keras_effnetv2.search.searches import open_search
from keras_effnetv2.search.studies import storage
from keras_effnetv2.search.studies.study import open_study, read_decisions
from keras_effnetv2.search.studies.workers import run_worker
from tests.search import test_evaluator
from tests.search.sampling.planted import DECISIONS, PlantedReward, noisy

FILES = ("a.journal", "deep/er/a.jsonl", "a.log", "a.db", "a.sqlite3")
SMALL = {"operator": ("a", "b"), "layers": (1, 2, 3)}


def open_small(location, decisions=SMALL, settings=(("image_size", 32),)):
    sampler = create_sampler("reinforce", 0)
    return open_study(location, decisions, dict(settings), sampler)


@pytest.mark.parametrize("name", FILES)
def test_a_study_remembers(name, tmp_path):
    run_worker(open_small(tmp_path / name), lambda trial, point: point["layers"], 3)
    study = open_small(tmp_path / name)
    assert read_decisions(study) == SMALL
    assert [trial.value for trial in study.trials] == [
        trial.params["layers"] for trial in study.trials
    ]
    assert len(study.trials) == 3


@pytest.mark.parametrize(
    ("name", "sampler"),
    [
        ("a.journal", "reinforce"),
        ("a.journal", "random"),
        ("a.journal", "tpe"),
        ("a.db", "reinforce"),
    ],
)
def test_a_study_that_was_stopped_goes_on_as_if_not(name, sampler, tmp_path):
    def run(location, *stops):
        for num_trials in stops:
            study = open_study(location, DECISIONS, {}, create_sampler(sampler, 4))
            run_worker(study, noisy(PlantedReward(0), 0), num_trials)
        return [(trial.params, trial.value) for trial in study.trials]

    assert run(tmp_path / name, 5, 6, 12) == run(None, 12)


@pytest.mark.parametrize("name", ["a.journal", "a.db"])
def test_other_spaces_and_settings_are_refused(name, tmp_path):
    open_small(tmp_path / name)
    with pytest.raises(ValueError, match=r"other decisions: layers is \[1, 2, 3\]"):
        open_small(tmp_path / name, {**SMALL, "layers": (1, 2)})
    with pytest.raises(ValueError, match="kernel is None there"):
        open_small(tmp_path / name, {**SMALL, "kernel": (3, 5)})
    with pytest.raises(ValueError, match="other settings: image_size is 32 there"):
        open_small(tmp_path / name, settings=[("image_size", 64)])
    open_small(tmp_path / name)
    # A setting that an older study lacks is as it was before there was one.
    open_small(tmp_path / name, settings=[("image_size", 32), ("screen", None)])


def test_of_another_training_only_what_differs_is_said(tmp_path):
    def open_with(*changes):
        return open_search(test_evaluator.search(*changes), tmp_path / "a.db")

    open_with("epochs=1")
    with pytest.raises(ValueError, match="other settings") as error:
        open_with("epochs=2", "optimizer.learning_rate=0.25")
    message = str(error.value)
    assert "training.epochs is 1 there and 2 now" in message
    assert "training.optimizer.learning_rate is" in message
    assert message.count("there and") == 2


@pytest.mark.parametrize("location", ["a.journal", "a.db"])
def test_one_storage_holds_several_studies(location, tmp_path):
    def run(name, image_size, num_trials):
        study = open_study(
            tmp_path / location,
            SMALL,
            {"image_size": image_size},
            create_sampler("reinforce", 0),
            name=name,
        )
        run_worker(study, lambda trial, point: point["layers"], num_trials)
        return [(trial.number, trial.params) for trial in study.trials]

    first = run("small", 32, 2)
    assert len(run("large", 64, 3)) == 3
    went_on = run("small", 32, 4)
    assert [number for number, _ in went_on] == [0, 1, 2, 3]
    assert went_on[:2] == first
    with pytest.raises(ValueError, match="'small'.*other settings: image_size is 32"):
        run("small", 64, 4)


@pytest.mark.parametrize("name", ["", "a/b", "..", "n" * 65])
def test_studies_have_names_that_folders_can_have(name):
    with pytest.raises(ValueError, match="name must consist of letters"):
        open_study(None, SMALL, {}, create_sampler("random", 0), name=name)


def test_another_backbone_is_refused_and_one_without_gets_one(tmp_path):
    def open_with(backbone):
        sampler = create_sampler("random", 0)
        return open_study(tmp_path / "a.db", SMALL, {}, sampler, backbone=backbone)

    open_with(None)
    open_with({"stem_filters": 8, "blocks": (1, 2)})
    open_with({"stem_filters": 8, "blocks": (1, 2)})
    with pytest.raises(ValueError, match="other backbone: stem_filters is 8 there"):
        open_with({"stem_filters": 16, "blocks": (1, 2)})


@pytest.mark.parametrize(
    ("decisions", "message"),
    [({}, "space is empty"), ({"x": ()}, "x of"), ({"x": (1, 1)}, "each once")],
)
def test_empty_spaces(decisions, message):
    with pytest.raises(ValueError, match=message):
        open_small(None, decisions)


def test_a_storage_out_of_reach(tmp_path):
    (tmp_path / "file").touch()
    for location, reason in {
        tmp_path / "study": "no suffix",
        tmp_path / "study.txt": ".txt",
        tmp_path / "file/a.journal": "file",
        tmp_path / "file/a.db": "file",
        tmp_path: "",
        f"sqlite:///{tmp_path}/none/a.db": "unable to open",
        "nonsense://server/a": "nonsense",
    }.items():
        with pytest.raises(ValueError, match="cannot be opened") as error:
            open_small(location)
        assert reason in str(error.value) and str(error.value).count("\n") == 0


def test_a_reason_that_is_a_sentence_ends_once(monkeypatch):
    def fail(location):
        raise ImportError("No driver for this URL. Please install one.\nMore of it.")

    monkeypatch.setattr("optuna.storages.RDBStorage", fail)
    with pytest.raises(ValueError, match=r"URL\. Please install one\. Expected a file"):
        open_small("postgresql://server/a")


def test_what_others_do_at_the_same_time_is_tried_again(monkeypatch):
    """A row with a key that is taken, until it is removed."""
    sqlalchemy = pytest.importorskip("sqlalchemy")
    engine = sqlalchemy.create_engine("sqlite://")
    pauses = []

    def run(text):
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text(text))

    def insert():
        run("insert into studies values (1)")
        return "done"

    run("create table studies (number integer primary key)")
    run("insert into studies values (1)")
    monkeypatch.setattr(storage.time, "sleep", pauses.append)
    with pytest.raises(sqlalchemy.exc.IntegrityError):
        storage.tried_again(insert)
    assert len(pauses) == 3 and pauses == sorted(pauses)
    monkeypatch.setattr(storage.time, "sleep", lambda _: run("delete from studies"))
    assert storage.tried_again(insert) == "done"


def test_a_password_is_not_shown():
    with pytest.raises(ValueError, match=r"ann:\*\*\*@server") as error:
        open_small("nonsense://ann:secret@server/a")
    assert "secret" not in str(error.value)


def test_damaged_files_are_named_and_left_alone(tmp_path):
    open_small(tmp_path / "a.journal")
    whole = (tmp_path / "a.journal").read_bytes()
    for name, contents in {
        "text.log": b"started\nfinished, without a line break",
        "torn.journal": whole[:200] + b"\0" * 20 + whole[200:],
        "json.journal": whole + json.dumps([1]).encode() + b"\n",
        "op.journal": whole + b'{"op_code":99,"worker_id":"x"}\n',
        "text.db": b"nothing that SQLite knows" * 100,
    }.items():
        path = tmp_path / name
        path.write_bytes(contents)
        with pytest.raises(ValueError, match=f"{name} cannot be opened") as error:
            open_small(path)
        assert path.read_bytes() == contents
        assert "\n" not in str(error.value)


def test_half_a_record_at_the_end_is_dropped(tmp_path):
    """As a full disk or a power cut leaves it; no one has seen that record."""
    path = tmp_path / "a.journal"
    run_worker(open_small(path), lambda trial, point: point["layers"], 2)
    whole = path.read_bytes()
    for rest in (b'{"op_', b'{"op_code":4,"worker_id":"x"'):
        path.write_bytes(whole + rest)
        assert len(open_small(path).trials) == 2
        # Whoever opens a study adds a record, a whole one.
        assert path.read_bytes().startswith(whole + b'{"op_code":0,')
