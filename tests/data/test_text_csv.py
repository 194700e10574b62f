from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from kerastl.data import splits, text_csv, vocabularies
from kerastl.inputs import wordpiece
from kerastl.inputs.text import Text
from kerastl.inputs.text_pair import TextPair
from kerastl.tasks.multi_label import MultiLabel

KINDS = ("sports", "politics", "weather")


def sentences(count: int = 90) -> list[tuple[str, str]]:
    return [(f"a {KINDS[n % 3]} sentence, number {n}", KINDS[n % 3]) for n in range(count)]


def written(path, rows, names=("text", "label")):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([names, *rows])
    return path


def vocabulary_of(path, rows):
    """A file of a vocabulary that spells every row, whatever split it stands in."""
    tokens = vocabularies.learn_vocabulary([row[0] for row in rows], size=1000)
    path.write_text("".join(f"{token}\n" for token in tokens))
    return path


def load(path, **options):
    return text_csv.load(path, **{"sequence_length": 16, "vocabulary": None, **options})


def read_back(made, split) -> list[str]:
    return [wordpiece.decode(row, made.task.inputs.vocabulary) for row in split.inputs.tolist()]


def test_three_splits_of_token_ids(tmp_path):
    made = load(written(tmp_path / "news.csv", sentences()))
    assert made.task.name == "news"
    assert made.task.target.names == tuple(sorted(KINDS))
    assert made.task.inputs.shape == (16,)
    assert (len(made.train), len(made.validation), len(made.test)) == (62, 14, 14)
    for split in (made.train, made.validation, made.test):
        assert isinstance(split.task.inputs, Text)
        for text, label in zip(read_back(made, split), split.labels.tolist(), strict=True):
            assert made.task.target.names[label] in text
    assert splits.digest(made.train, made.validation, made.test) == made.digest


def test_it_loads_again_from_its_arguments(tmp_path):
    path = written(tmp_path / "news.csv", sentences())
    for options in ({}, {"seed": 5, "limit": 30}, {"validation": 9, "test": 12, "vocabulary_size": 60}):
        made = load(path, **options)
        again = text_csv.load(**json.loads(json.dumps(dict(made.arguments))))
        assert again.digest == made.digest
        assert again.task == made.task
    assert load(path, seed=1).digest != load(path).digest


def test_two_vocabularies_of_the_same_texts(tmp_path):
    """The same texts stand in the same places, whatever they are read with; `origin` says so, and is another if not."""
    rows = sentences()
    path = written(tmp_path / "news.csv", rows)
    other = vocabulary_of(tmp_path / "letters.txt", rows)
    for options in ({}, {"limit": 30}, {"seed": 3}):
        one = load(path, **options)
        two = load(path, vocabulary=other, sequence_length=40, **options)
        assert one.digest != two.digest
        assert one.origin == two.origin
        assert len(one.origin) == 64
        for split in ("train", "validation", "test"):
            mine, its = getattr(one, split), getattr(two, split)
            np.testing.assert_array_equal(mine.labels, its.labels)
            # a vocabulary that was learnt from train spells every number; those of the first are cut off nowhere
            if split == "train":
                assert read_back(one, mine) == read_back(two, its)
        assert read_back(two, two.test) != sorted(read_back(two, two.test)), "an order of their own"
    first = load(path).origin
    swapped = [(rows[1][0], rows[0][1]), (rows[0][0], rows[1][1]), *rows[2:]]
    changed = {
        "seed": load(path, seed=1),
        "test": load(path, test=0.2),
        "limit": load(path, limit=30),
        "text": load(written(tmp_path / "text.csv", [("a sports sentence, nobody's", "sports"), *rows[1:]])),
        "order": load(written(tmp_path / "order.csv", rows[::-1])),
        "labels": load(written(tmp_path / "labels.csv", swapped)),
    }
    assert len({first, *(made.origin for made in changed.values())}) == len(changed) + 1


@pytest.mark.parametrize("labels", [("1", "2", "10"), ("ja", "nein", "weiß nicht"), ("-1", "0", "1")])
def test_any_labels(tmp_path, labels):
    rows = [(f"sentence {n}", labels[n % 3]) for n in range(60)]
    made = load(written(tmp_path / "a.csv", rows))
    assert made.task.target.names == labels


def test_numbers_in_json_lines(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"text": f"text {n}", "label": n % 2}) + "\n" for n in range(40)))
    assert load(path).task.target.names == ("0", "1")


def test_any_language(tmp_path):
    words = {"good": ("хорошо", "很好", "ดีมาก", "جيد"), "bad": ("плохо", "不好", "แย่", "سيئ")}
    rows = [(f"{words[kind][n % 4]} {n}", kind) for n in range(40) for kind in words]
    made = load(written(tmp_path / "a.csv", rows))
    assert not (made.test.inputs == made.task.inputs.vocabulary.index("[UNK]")).any()


def test_the_vocabulary_is_learnt_from_training_texts_alone(tmp_path):
    rows = [(f"{'alpha beta'[6 * (n % 2) :]} {n}", str(n % 2), "train") for n in range(30)]
    rows += [(f"gamma {n}", str(n % 2), "test") for n in range(100, 130)]
    made = load(written(tmp_path / "a.csv", rows, ("text", "label", "split")))
    assert "alpha" in made.task.inputs.vocabulary
    assert "gamma" not in made.task.inputs.vocabulary


def test_a_vocabulary_of_ones_own(tmp_path):
    path = written(tmp_path / "news.csv", sentences())
    (tmp_path / "vocab.txt").write_text("\n".join([*wordpiece.SPECIAL, "sports", "politics"]) + "\n")
    made = load(path, vocabulary=tmp_path / "vocab.txt")
    assert made.task.inputs.vocabulary[-1] == "politics"
    with pytest.raises(FileNotFoundError, match="no vocabulary file"):
        load(path, vocabulary="berta")


def test_a_column_of_splits_is_respected(tmp_path):
    names = ("Train", "validation", "test", "dev", "")
    rows = [(f"{names[n % 5]} text {n}", str(n % 2), names[n % 5]) for n in range(100)]
    vocabulary = vocabulary_of(tmp_path / "vocab.txt", rows)
    made = load(written(tmp_path / "a.csv", rows, ("text", "label", "split")), vocabulary=vocabulary)
    assert (len(made.train), len(made.validation), len(made.test)) == (40, 40, 20)
    assert all(text.startswith("test text") for text in read_back(made, made.test))
    with pytest.raises(ValueError, match="line 2: split 'tset'"):
        load(written(tmp_path / "b.csv", [("a", "1", "tset"), *rows], ("text", "label", "split")))


def test_copies_never_stand_in_two_splits(tmp_path):
    rows = [(text, label) for text, label in sentences(60) for _ in range(3)]
    rows += [(f"  {text.upper()}\t", label) for text, label in sentences(60)]
    made = load(written(tmp_path / "a.csv", rows))
    assert sum(len(split) for split in (made.train, made.validation, made.test)) == 60
    assert made.leakage["exact_duplicates"] == 0


def test_of_copies_the_test_split_keeps_its_own(tmp_path):
    rows = [(f"text {n}", str(n % 2), split) for split in ("train", "validation", "test") for n in range(30)]
    rows += [(f"further {n}", str(n % 2), "train") for n in range(30)]
    rows += [(f"other {n}", str(n % 2), "validation") for n in range(30)]
    vocabulary = vocabulary_of(tmp_path / "vocab.txt", rows)
    made = load(written(tmp_path / "a.csv", rows, ("text", "label", "split")), vocabulary=vocabulary)
    assert (len(made.train), len(made.validation), len(made.test)) == (30, 30, 30)
    assert all(text.startswith("text") for text in read_back(made, made.test))


def test_rows_that_cannot_be_used(tmp_path, capsys):
    rows = [*sentences(), ("", "sports"), (" \t", "sports"), ("no label", ""), ("Same text", "sports")]
    path = written(tmp_path / "a.csv", [*rows, ("same  text", "weather")])
    with pytest.raises(ValueError, match="4 texts cannot be used") as raised:
        load(path)
    for words in ("line 92: empty text", "line 94: no label", "line 95 'sports', line 96 'weather': the same text"):
        assert words in str(raised.value)
    made = load(path, policy="skip")
    assert sum(len(split) for split in (made.train, made.validation, made.test)) == 90
    assert "4 texts are left out, 90 are kept" in capsys.readouterr().err
    with pytest.raises(ValueError, match="policy is 'fail' or 'skip'"):
        load(path, policy="ignore")


def test_too_little_to_measure_is_said_in_words(tmp_path):
    path = written(tmp_path / "two.csv", [("I like it", "good"), ("I do not", "bad")])
    with pytest.raises(ValueError, match=r"3 different texts at least.*1 of 'bad', 1 of 'good', 2 texts in all"):
        load(path)
    path = written(tmp_path / "one.csv", [(f"text {n}", "good") for n in range(9)])
    with pytest.raises(ValueError, match=r"two classes at least\. Received: one class only, 'good'"):
        load(path)
    path = written(tmp_path / "none.csv", [])
    with pytest.raises(ValueError, match=r"no class, in none\.csv"):
        load(path)


def test_two_sentences_are_measured_on_themselves_where_that_is_asked_for(tmp_path):
    made = load(written(tmp_path / "two.csv", [("I like it", "good"), ("I do not", "bad")]), measure_on_train=True)
    for split in (made.train, made.validation, made.test):
        assert sorted(zip(read_back(made, split), split.labels.tolist(), strict=True)) == [
            ("i do not", 0),
            ("i like it", 1),
        ]
    assert made.leakage["exact_duplicates"] == 4  # validation and test, two each: it is in the report
    assert load(**dict(made.arguments)).digest == made.digest
    with pytest.raises(ValueError, match=r"two classes at least\. Received: one class only, 'good'"):
        load(written(tmp_path / "one.csv", [("I like it", "good")]), measure_on_train=True)


def test_three_texts_a_class_are_enough(tmp_path):
    path = written(tmp_path / "six.csv", [(f"text {n}", str(n % 2)) for n in range(6)])
    made = load(path)
    assert [split.labels.tolist().count(1) for split in (made.train, made.validation, made.test)] == [1, 1, 1]


def test_classes_of_another_model(tmp_path):
    path = written(tmp_path / "news.csv", sentences())
    wanted = ("weather", "sports", "politics")
    assert load(path, class_names=wanted).task.target.names == wanted
    with pytest.raises(ValueError, match="lacking"):
        load(path, class_names=(*wanted, "culture"))


def test_columns_of_other_names_are_found_and_said(tmp_path, capsys):
    path = written(tmp_path / "news.csv", sentences(), ("text", "lable"))
    made = load(path)
    assert made.arguments["label_column"] == "lable", "by which it is loaded again"
    assert "labels in the column 'lable' (--label-column)" in capsys.readouterr().err
    with pytest.raises(ValueError, match="no column 'topic'"):
        load(path, label_column="topic")


def test_a_sentence_of_a_hundred_thousand_words(tmp_path):
    rows = [*sentences(), ("sports " * 100_000, "sports")]
    made = load(written(tmp_path / "news.csv", rows))
    long = np.concatenate([split.inputs for split in (made.train, made.validation, made.test)])
    assert (long[:, -2] != 0).sum() == 1


TOPICS = ("goal", "rain", "vote")


def articles(count: int = 90) -> list[tuple[str, tuple[str, ...]]]:
    """Texts that name every class which they have, and no other: 0 to 3 of them in turn."""
    found = []
    for number in range(count):
        having = tuple(name for bit, name in enumerate(TOPICS) if number % 8 >> bit & 1)
        found.append((f"number {number} about {' '.join(having) or 'nothing'}", having))
    return found


def files_of(folder, rows):
    """The same sets of classes, written down in every way: path and the arguments that read it."""
    flags = [[int(name in having) for name in TOPICS] for _, having in rows]
    separated = [(text, " | ".join(reversed(having))) for text, having in rows]
    in_columns = [(text, *row) for (text, _), row in zip(rows, flags, strict=True)]
    listed = [{"text": text, "label": [*having, *having[:1]]} for text, having in rows]
    objects = [
        {"text": text, **dict(zip(TOPICS, map(bool, row), strict=True))}
        for (text, _), row in zip(rows, flags, strict=True)
    ]
    for name, content in (("lists.jsonl", listed), ("objects.jsonl", objects)):
        (folder / name).write_text("".join(json.dumps(one) + "\n" for one in content))
    return [
        (written(folder / "separated.csv", separated), {"label_separator": "|"}),
        (written(folder / "columns.csv", in_columns, ("text", *TOPICS)), {"label_columns": TOPICS}),
        (folder / "lists.jsonl", {}),
        (folder / "lists.jsonl", {"label_separator": "|"}),
        (folder / "objects.jsonl", {"label_columns": TOPICS[::-1]}),
    ]


def test_a_text_may_have_several_classes_or_none(tmp_path):
    rows = articles()
    vocabulary = vocabulary_of(tmp_path / "vocab.txt", rows)
    made = [load(path, vocabulary=vocabulary, **how) for path, how in files_of(tmp_path, rows)]
    first = made[0]
    for one in made:
        assert isinstance(one.task.target, MultiLabel)
        assert one.task.target.names == TOPICS
        assert (one.digest, one.origin) == (first.digest, first.origin)
        assert text_csv.load(**json.loads(json.dumps(dict(one.arguments)))).digest == first.digest
    assert [len(split) for split in (first.train, first.validation, first.test)] == [62, 14, 14]
    whole = np.bincount([TOPICS.index(name) for _, having in rows for name in having], minlength=3) / len(rows)
    for split in (first.train, first.validation, first.test):
        assert split.labels.dtype == np.uint8
        for text, label in zip(read_back(first, split), split.labels.tolist(), strict=True):
            assert label == [int(name in text.split()) for name in TOPICS]
        # each class as nearly in proportion as can be: a text more or less
        np.testing.assert_allclose(split.labels.sum(0), whole * len(split), atol=1.01)
    smaller = load(tmp_path / "lists.jsonl", vocabulary=vocabulary, limit=30)
    assert len(smaller.train) == 30
    assert smaller.origin != first.origin


def test_the_origin_of_texts_knows_their_sets(tmp_path):
    rows = articles(40)
    origins = set()
    for changed in (("goal", "vote"), ("goal",), ("goal, vote",)):
        other = [("the first", changed), *rows, *((f"more {n}", ("goal, vote",)) for n in range(3))]
        lines = [json.dumps({"text": text, "label": list(having)}) for text, having in other]
        (tmp_path / "set.jsonl").write_text("\n".join(lines))
        origins.add(load(tmp_path / "set.jsonl").origin)
    assert len(origins) == 3


def test_three_texts_of_each_of_several_classes_are_enough(tmp_path):
    rows = [("a", "x|y"), ("b", "y|x"), ("c", "x|y"), ("d", "z"), ("e", "z"), ("f", "z"), ("g", "")]
    made = load(written(tmp_path / "a.csv", rows), label_separator="|")
    for split in (made.train, made.validation, made.test):
        assert (split.labels.sum(0) >= 1).all()
    many = [(f"text {n}", ("x", "x|y", "", "y")[n % 4]) for n in range(24)]
    path = written(tmp_path / "many.csv", [*many, *((f"rare {n}", "rare") for n in range(3))])
    for seed in range(4):  # most are taken out first, and still each split has one of the rare ones
        made = load(path, label_separator="|", test=0.6, validation=0.2, seed=seed)
        assert [split.labels.sum(0)[0] for split in (made.train, made.validation, made.test)] == [1, 1, 1]
    with pytest.raises(ValueError, match=r"3 different texts at least.*Received: 2 of 'x', 2 of 'y'"):
        load(written(tmp_path / "a.csv", [*rows[:2], *rows[3:]]), label_separator="|")
    flags = [(f"text {n}", n % 2, 1 - n % 2, 0) for n in range(30)]
    with pytest.raises(ValueError, match=r"Received: 0 of 'never'"):
        load(written(tmp_path / "b.csv", flags, ("text", "a", "b", "never")), label_columns=("a", "b", "never"))


def test_what_is_wrong_with_sets_of_classes_is_said(tmp_path, capsys):
    rows = [*[(text, "|".join(having)) for text, having in articles(40)]]
    path = written(tmp_path / "a.csv", [*rows, ("SAME  text", "goal"), ("same text", "goal|vote")])
    with pytest.raises(ValueError, match=r"line 42 'goal', line 43 'goal\|vote': the same text with 2 sets of labels"):
        load(path, label_separator="|")
    assert sum(load(path, label_separator="|", policy="skip").train.labels.shape) > 3
    assert "1 text is left out, 40 are kept" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"with ';' between them under 'label'.*in no field; the first is ''"):
        load(path, label_separator=";")
    with pytest.raises(ValueError, match="with ' ' between them under 'label'"):
        load(path, label_separator=" ")
    with pytest.raises(ValueError, match="Received: label_separator"):
        load(path, label_separator="|", label_columns=TOPICS)


def test_three_texts_of_a_rare_class_are_enough_for_three_splits(tmp_path):
    rows = [(f"ham, number {n}", "ham") for n in range(1000)] + [(f"spam, number {n}", "spam") for n in range(3)]
    made = load(written(tmp_path / "a.csv", rows))
    assert [(split.labels == 1).sum() for split in (made.train, made.validation, made.test)] == [1, 1, 1]


def test_a_vocabulary_is_found_again_from_another_folder(tmp_path, monkeypatch):
    path = written(tmp_path / "news.csv", sentences())
    vocabulary_of(tmp_path / "letters.txt", sentences())
    monkeypatch.chdir(tmp_path)
    made = load(path, vocabulary="letters.txt")
    monkeypatch.chdir("/")
    assert text_csv.load(**made.arguments).digest == made.digest


def test_each_text_knows_its_line(tmp_path):
    rows = sentences()
    made = load(written(tmp_path / "news.csv", [*rows[:40], ("", "sports"), *rows[40:]]), policy="skip", limit=30)
    for split in (made.train, made.validation, made.test):
        for origin, text in zip(split.origins, read_back(made, split), strict=True):
            file, line = origin.split(":")
            number = int(line) - 2 - (int(line) > 42)  # the first line has the names, and line 42 no text
            assert file == "news.csv"
            assert text == rows[number][0].replace(",", " ,")


def test_a_row_torn_by_its_own_comma_is_no_shorter_text(tmp_path):
    path = tmp_path / "a.csv"
    lines = [f"{label},{text}" for text, label in ((text.replace(",", ""), label) for text, label in sentences())]
    path.write_text("label,text\n" + "\n".join(lines) + "\nsports,a match, and more\n", encoding="utf-8")
    with pytest.raises(ValueError, match="line 92: 3 fields, where the first line has 2"):
        load(path)
    made = load(path, policy="skip")
    assert len(made.train) + len(made.validation) + len(made.test) == 90


def test_a_vocabulary_is_read_with_the_settings_that_stand_beside_it(tmp_path):
    """As a folder of the Hugging Face hub has them; the data set remembers the path, and says how it was read."""
    rows = [f"Bonn bonn café {n},{'a' if n % 2 else 'b'}" for n in range(12)]
    (tmp_path / "texts.csv").write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    tokens = [*wordpiece.SPECIAL, "Bonn", "bonn", "café", "cafe", *map(str, range(12))]
    (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8")
    words = {}
    for name, config in (("uncased", {}), ("cased", {"do_lower_case": False})):
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
        made = text_csv.load(tmp_path / "texts.csv", sequence_length=6, vocabulary=tmp_path / "vocab.txt")
        words[name] = wordpiece.decode(made.train.inputs[0], tokens).split()[:3]
        assert made.task.inputs.settings.lowercase == (name == "uncased")
        assert text_csv.load(**made.arguments).digest == made.digest
        described = made.task.inputs.described()  # a second set that is read as the first
        arguments = {**made.arguments, "vocabulary": described}
        assert text_csv.load(**arguments).task.inputs == made.task.inputs
        assert text_csv.load(**arguments).digest == made.digest
    assert words == {"uncased": ["bonn", "bonn", "cafe"], "cased": ["Bonn", "bonn", "café"]}


def starred(count=90):
    """Texts whose number of stars, of one to five in halves, stands in their words."""
    stars = [1 + (number * 7 % 9) / 2 for number in range(count)]
    return [(f"number {number} of the year has {one} stars", one) for number, one in enumerate(stars)]


def test_numbers_are_estimated_where_that_is_asked_for(tmp_path, capsys):
    path = written(tmp_path / "stars.csv", starred(), names=("text", "stars"))
    made = load(path, label_column="stars", task="regression", unit="stars")
    target = made.task.target
    assert (target.kind, target.names, target.units) == ("regression", ("stars",), "stars")
    for split in (made.train, made.validation, made.test):
        assert (split.labels.dtype, split.labels.shape) == (np.float32, (len(split), 1))
        for text, (label,) in zip(read_back(made, split), split.labels.tolist(), strict=True):
            assert f"has {label:g}".replace(".", " . ") in text
    assert sum(map(len, (made.train, made.validation, made.test))) == 90
    # mean and spread are those of the training texts alone
    assert target.mean == (pytest.approx(made.train.labels.astype("float64").mean()),)
    assert target.spread == (pytest.approx(made.train.labels.astype("float64").std()),)
    # every tenth of the numbers stands in every split
    assert np.ptp(made.test.labels) > 3
    again = text_csv.load(**json.loads(json.dumps(dict(made.arguments))))
    assert (again.digest, again.task.target) == (made.digest, target)
    few = load(path, label_column="stars", task="regression", limit=30)
    assert len(few.train) == 30
    assert few.task.target.mean == (pytest.approx(few.train.labels.astype("float64").mean()),)

    broken = written(tmp_path / "broken.csv", [*starred(), ("what is this", "many"), ("and this", "nan")])
    with pytest.raises(ValueError, match="line 92: the label 'many', which is no number"):
        load(broken, task="regression")
    assert len(load(broken, task="regression", policy="skip").train) == len(made.train)
    assert "line 93: the label 'nan'" in capsys.readouterr().err


def test_numbers_that_cannot_be_estimated_are_refused(tmp_path):
    words = written(tmp_path / "news.csv", sentences())
    with pytest.raises(ValueError, match=r"labels that are numbers\. Received: .* leave --task out"):
        load(words, task="regression")
    with pytest.raises(ValueError, match="one number a text"):
        load(written(tmp_path / "sets.csv", [(text, "1|2") for text, _ in sentences()]), task="regression",
             label_separator="|")  # fmt: skip
    with pytest.raises(ValueError, match="two texts at least in each of train, test and validation"):
        load(written(tmp_path / "few.csv", starred(5)), task="regression")
    rare = written(tmp_path / "rare.csv", [(f"text {number}", f"{number}.5") for number in range(90)])
    with pytest.raises(ValueError, match="All labels are numbers: --task regression estimates them"):
        load(rare)


def test_two_columns_are_pairs_of_texts(tmp_path):
    rows = [(f"is it number {n}", f"yes it is {n}" if n % 2 else "no", "yes" if n % 2 else "no") for n in range(60)]
    rows += [rows[0], ("is it number 0", "no more", "no"), ("is it number 1", "yes  IT is 1", "yes")]
    path = written(tmp_path / "pairs.csv", rows, names=("question", "answer", "label"))
    options = {"text_column": "question", "second_text_column": "answer"}
    made = load(path, **options)
    kind = made.task.inputs
    assert isinstance(kind, TextPair)
    assert kind.columns == ("question", "answer")
    splits_of = (made.train, made.validation, made.test)
    assert sum(map(len, splits_of)) == 61  # of copies of both texts one is kept
    lines = path.read_text().splitlines()
    tokenizer = wordpiece.Tokenizer(kind.vocabulary)
    for split in splits_of:
        for ids, label, origin in zip(split.inputs.tolist(), split.labels, split.origins, strict=True):
            question, answer, word = lines[int(origin.rpartition(":")[2]) - 1].split(",")
            assert ids == tokenizer.encode_pair(question, answer, 16)
            assert made.task.target.names[label] == word
    again = text_csv.load(**json.loads(json.dumps(dict(made.arguments))))
    assert (again.digest, again.task, again.origin) == (made.digest, made.task, made.origin)
    alone = load(path, text_column="question", policy="skip")  # a question with two answers
    assert alone.origin != made.origin

    broken = written(tmp_path / "broken.csv", [*rows, ("a question", " ", "no")], names=("question", "answer", "label"))
    with pytest.raises(ValueError, match="line 65: empty text"):
        load(broken, **options)
    with pytest.raises(ValueError, match="has no column 'anser'"):
        load(path, text_column="question", second_text_column="anser")


def test_labels_of_several_in_one_and_texts_that_stand_beside_are_named_with_their_flags(tmp_path, capsys):
    rows = [f"a sentence {n} that is long enough,{n % 3}{';2' if n % 5 == 0 else ''}" for n in range(24)]
    (tmp_path / "several.csv").write_text("\n".join(["text,label", *rows]))
    with pytest.raises(ValueError, match=r"Some are others with ';' between them, '0;2' say: --label-separator ';'"):
        text_csv.load(tmp_path / "several.csv", sequence_length=8, vocabulary=None)
    pairs = [f"a question {n} that is asked here,an answer {n} that is given to it,{n % 2}" for n in range(24)]
    (tmp_path / "pairs.csv").write_text("\n".join(["text,answer,label", *pairs]))
    text_csv.load(tmp_path / "pairs.csv", sequence_length=8, vocabulary=None)
    assert "the column 'answer' holds texts as well, and is not read: --second-text-column" in capsys.readouterr().err


def test_what_an_annotator_could_choose_from_is_no_label(tmp_path):
    """Prodigy writes both, and says itself what was accepted."""
    some = [
        {"text": f"a sentence {n} of some words", "options": [{"id": "a"}, {"id": "b"}], "accept": ["ab"[n % 2]]}
        for n in range(24)
    ]
    (tmp_path / "set.jsonl").write_text("\n".join(map(json.dumps, some)))
    data = text_csv.load(tmp_path / "set.jsonl", sequence_length=8, vocabulary=None)
    assert data.task.target.names == ("a", "b")
    assert data.task.target.kind.startswith("multi-label")
