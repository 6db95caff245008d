"""Topic prediction: windows split by position, the numpy path against scikit-learn's own, files, evaluation."""

from __future__ import annotations

import builtins
import json
import pickle

import numpy as np
import pytest
from typer.testing import CliRunner

from moeram.cli.topics import app
from moeram.errors import ConfigError, MoeramError, TraceError
from moeram.model import load_model
from moeram.routing import SyntheticRouting
from moeram.routing.topics import (
    LinearClassifier,
    TopicClassifier,
    TrainingOptions,
    evaluate,
    load_classifier,
    predict,
    read_texts,
    split_windows,
    train,
    usage_tables,
)

WORDS = {"law": "court judge appeal contract", "code": "loop branch compiler stack", "food": "soup bread oven salt"}


@pytest.fixture
def folder(tmp_path):
    """Three topics of 400 words: own words and common ones, in random order."""
    rng = np.random.default_rng(0)
    place = tmp_path / "texts"
    place.mkdir()
    for topic, own in WORDS.items():
        words = rng.choice([*own.split(), "the", "and", "with", "for"] + ["some"] * 12, 400)
        (place / f"{topic}.txt").write_text(" ".join(words))
    return place


def no_sklearn(monkeypatch):
    real = builtins.__import__

    def refuse(name, *arguments, **options):
        if name.split(".")[0] in ("sklearn", "scipy"):
            raise ImportError(f"no module named {name}")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)


def test_windows_never_straddle_the_split():
    texts = {"a": " ".join(f"a{i}" for i in range(100)), "b": " ".join(f"b{i}" for i in range(57))}
    train_part, test_part = split_windows(texts, size=10, held_out=0.3)
    assert (train_part.count(0), test_part.count(0)) == (7, 3)
    assert (train_part.count(1), test_part.count(1)) == (4, 1)  # 40 words | 17 words
    assert train_part.texts[6] == " ".join(f"a{i}" for i in range(60, 70))
    assert test_part.texts[0] == " ".join(f"a{i}" for i in range(70, 80))
    assert test_part.texts[-1] == " ".join(f"b{i}" for i in range(40, 50))
    assert {w for t in train_part.texts for w in t.split()}.isdisjoint(w for t in test_part.texts for w in t.split())


def test_scores_by_hand():
    """ "oven oven Bread x": counts 2 and 1 -> (1 + ln 2) 3 and 1 x 2, divided by their length."""
    classifier = LinearClassifier(
        topics=("food", "law"),
        vocabulary=("bread", "court", "oven"),
        idf=np.array([2.0, 5.0, 3.0]),
        coefficients=np.array([[1.0, 0.0, 10.0], [0.0, 7.0, 0.0]]),
        intercepts=np.array([0.5, 0.25]),
    )
    assert isinstance(classifier, TopicClassifier)
    oven, bread = (1 + np.log(2)) * 3, 2.0
    found = classifier.scores(["oven oven Bread x", "", "COURT unknown"])
    assert found[0] == pytest.approx([(10 * oven + bread) / np.hypot(oven, bread) + 0.5, 0.25])
    assert found[1:].tolist() == [[0.5, 0.25], [0.5, 7.25]]
    assert predict(classifier, ["oven", "court", ""]).tolist() == [0, 1, 0]


@pytest.mark.parametrize("topics", [2, 3])
def test_numpy_predictions_are_those_of_scikit_learn(folder, topics):
    """An independent pipeline of scikit-learn's own vectoriser and model, fitted on the same windows."""
    pytest.importorskip("sklearn")
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    texts = dict(list(read_texts(folder).items())[:topics])
    windows, test = split_windows(texts, size=12, held_out=0.3)
    own = train(windows, TrainingOptions(window_words=12))
    vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2, token_pattern=r"(?u)\b\w\w+\b")
    model = LogisticRegression(C=10.0, max_iter=1000).fit(vectorizer.fit_transform(windows.texts), windows.labels)
    features = vectorizer.transform(test.texts)
    assert own.vocabulary == tuple(vectorizer.get_feature_names_out())
    assert predict(own, test.texts).tolist() == model.predict(features).tolist()
    theirs = model.decision_function(features)
    ours = own.scores(test.texts)
    assert (ours[:, 1] - ours[:, 0] if topics == 2 else ours) == pytest.approx(theirs, abs=1e-4)


def test_saved_classifier_predicts_the_same_without_scikit_learn(folder, tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    windows, test = split_windows(read_texts(folder), size=12)
    trained = train(windows, TrainingOptions(window_words=12))
    trained.save(tmp_path / "topics.npz")
    no_sklearn(monkeypatch)
    loaded = load_classifier(tmp_path / "topics.npz")
    assert loaded.scores(test.texts).tobytes() == trained.scores(test.texts).tobytes()
    assert loaded.topics == trained.topics == ("code", "food", "law") and loaded.training["window_words"] == 12
    assert evaluate(loaded, test).accuracy > 0.8
    with pytest.raises(MoeramError, match=r"needs scikit-learn; install it with: pip install 'moeram\[topics\]'"):
        train(windows)


def test_evaluation_by_hand():
    class Always:
        topics = ("a", "b", "c")

        def scores(self, texts):
            return np.array([[0.0, len(text) == 1, 0.5] for text in texts])

    texts = {"b": "x yy x x", "a": "yy x"}
    _, test = split_windows({k: f"pad {v}" * 1 for k, v in texts.items()}, size=1, held_out=0.7)
    found = evaluate(Always(), test)
    assert found.confusion.sum() == len(test.texts) and found.topics == ("a", "b", "c")
    ones = [text for text, label in zip(test.texts, test.labels, strict=True) if label == 0 and len(text) == 1]
    assert found.confusion[1, 1] == len(ones) and found.confusion[2].sum() == 0
    assert found.accuracy == pytest.approx(len(ones) / len(test.texts))
    assert found.base_rate == max(test.labels.count(0), test.labels.count(1)) / len(test.texts)


def test_usage_tables_are_shares():
    source = SyntheticRouting(load_model("olmoe-1b-7b"))
    tables = usage_tables(source)
    assert tables.sum(axis=2) == pytest.approx(np.ones((6, 16)))
    usage = source.ranking_usage()
    assert tables[2, 3, 5] == pytest.approx(usage[2, 3, 5] / (1024 * 8))


def test_real_text(shared):
    """Windows of 512 words, split by position: far above the base rate of 41 %."""
    pytest.importorskip("sklearn")
    windows, test = split_windows(read_texts(shared / "data" / "text"))
    found = evaluate(train(windows), test)
    assert len(test.texts) >= 55 and found.base_rate == pytest.approx(0.41, abs=0.02)
    assert found.accuracy > 0.9


def write(path, content):
    path.write_bytes(content)
    return path


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_bad_text(tmp_path):
    with pytest.raises(TraceError, match="no such folder"):
        read_texts(tmp_path / "none")
    write(tmp_path / "a.txt", b"one word after the other")
    with pytest.raises(TraceError, match="1 topics; at least two"):
        read_texts(tmp_path)
    write(tmp_path / "b.txt", b"\xff\xfe")
    with pytest.raises(TraceError, match=r"b.txt: not UTF-8 text \(byte 0\)"):
        read_texts(tmp_path)
    write(tmp_path / "b.txt", b" \n")
    with pytest.raises(TraceError, match="b.txt: no words"):
        read_texts(tmp_path)
    write(tmp_path / "b.txt", b"too short")
    with pytest.raises(TraceError, match="topic 'a': 5 words, 4 of them on one side .* less than a window of 100"):
        split_windows(read_texts(tmp_path), size=100)
    with pytest.raises(ConfigError, match="a held-out share of 1"):
        split_windows(read_texts(tmp_path), size=1, held_out=1)


def test_bad_classifier_files(tmp_path):
    with pytest.raises(TraceError, match=r"none.npz: cannot be read \(No such file"):
        load_classifier(tmp_path / "none.npz")
    with pytest.raises(TraceError, match="no topic classifier"):
        load_classifier(write(tmp_path / "text.npz", b"hello"))
    with pytest.raises(TraceError, match="no topic classifier"):
        load_classifier(write(tmp_path / "pickle.npz", pickle.dumps({"a": 1})))
    with pytest.raises(TraceError, match="no topic classifier"):
        load_classifier(npz(tmp_path / "object.npz", **{n: np.array([{}], dtype=object) for n in ARRAYS}))
    with pytest.raises(TraceError, match=r"it lacks \['coefficients'"):
        load_classifier(npz(tmp_path / "other.npz", idf=np.ones(3)))
    good = {
        "meta": text_array(json.dumps({"version": 1, "topics": ["a", "b"]})),
        "vocabulary": text_array("one\ntwo"),
        "idf": np.ones(2),
        "coefficients": np.ones((2, 2)),
        "intercepts": np.zeros(2),
    }
    assert load_classifier(npz(tmp_path / "good.npz", **good)).vocabulary == ("one", "two")
    for name, value, message in (
        ("idf", np.ones(3), "idf is no float64 array"),
        ("coefficients", np.full((2, 2), np.nan), "coefficients is no float64 array"),
        ("meta", text_array(json.dumps({"version": 9, "topics": ["a", "b"]})), "of another version"),
        ("meta", text_array("{"), "no topic classifier"),
    ):
        with pytest.raises(TraceError, match=message):
            load_classifier(npz(tmp_path / "bad.npz", **{**good, name: value}))


ARRAYS = ("meta", "vocabulary", "idf", "coefficients", "intercepts")


def text_array(text):
    return np.frombuffer(text.encode(), dtype=np.uint8)


def test_command_line(folder, tmp_path):
    pytest.importorskip("sklearn")
    saved = str(tmp_path / "c.npz")
    runner, words = CliRunner(), ["--window-words", "12"]
    result = runner.invoke(app, ["train", str(folder), "-o", saved, *words])
    assert result.exit_code == 0 and "accuracy" in result.stdout and "base rate" in result.stdout
    result = runner.invoke(app, ["evaluate", saved, str(folder), *words, "--json"])
    found = json.loads(result.stdout)
    assert found["topics"] == ["code", "food", "law"] and np.sum(found["confusion"]) == found["windows"] == 30
    result = runner.invoke(app, ["predict", saved, str(folder / "law.txt"), str(folder / "food.txt")])
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == ["law", "food"]


def test_a_place_that_cannot_be_written_is_noticed_before_training(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("moeram.cli.topics.train", lambda *_: pytest.fail("trained"))
    result = CliRunner().invoke(
        app, ["train", str(folder), "-o", str(tmp_path / "no" / "c.npz"), "--window-words", "12"]
    )
    assert isinstance(result.exception, ConfigError) and "c.npz: cannot be written" in str(result.exception)
