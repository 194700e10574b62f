"""The bundle's page in headless Chromium, where that is installed: it answers as `predict` does. And who may ask it."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import http.client
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browser as browsers
import numpy as np
import pytest
from PIL import Image as Pillow
from toy_pieces import reads_ids, sentencepiece_text

from kerastl.export import metadata, tflite
from kerastl.export.browser import litert_js, page
from kerastl.inputs import pictures
from kerastl.inputs.image import Image
from kerastl.inputs.named import Named
from kerastl.inputs.numbers import Numbers
from kerastl.inputs.text_pair import TextPair
from kerastl.runs import demo
from kerastl.runs.finished import FinishedRun
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.multi_task import MultiTask
from kerastl.tasks.regression import Regression
from kerastl.tasks.reject_option import RejectOption
from kerastl.tasks.single_label import SingleLabel
from kerastl.tasks.tagging import Tagging
from kerastl.types import Task

needs_chromium = pytest.mark.skipif(not browsers.is_there(), reason="apt-get install chromium chromium-driver")
ANSWER = "document.getElementById('answer').dataset.values"


@pytest.fixture(scope="module")
def browser() -> Iterator[browsers.Browser]:
    with browsers.Browser() as found:
        yield found


@pytest.fixture
def bundle(tmp_path):
    """Makes a bundle of a file: the file alone, for everything else is made of what it says."""

    def made(data: bytes, task: Task) -> FinishedRun:
        (tmp_path / "model.tflite").write_bytes(metadata.add(data, task, description="toy"))
        return FinishedRun(tmp_path)

    return made


@contextlib.contextmanager
def served(run: FinishedRun) -> Iterator[demo.Server]:
    with demo.Server(demo.files(run), port=0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


@contextlib.contextmanager
def opened(run: FinishedRun, browser: browsers.Browser) -> Iterator[demo.Server]:
    with served(run) as server:
        browser.open(server.address)
        assert browser.wait("document.documentElement.dataset.loaded") == "true", browser.run(
            "return document.getElementById('state').textContent"
        )
        yield server


def answered(browser: browsers.Browser) -> dict[str, Any]:
    """What the page answered: the numbers, and what it says."""
    values = json.loads(browser.wait(ANSWER))
    said = browser.run(
        "const said = document.querySelector('.said'); return {...said.dataset, words: said.textContent}"
    )
    return {"values": {name: np.asarray(one) for name, one in values.items()}, **said}


def asked(browser: browsers.Browser, fields: dict[str, str]) -> dict[str, Any]:
    """The answer after these fields were filled, by selector, and the button was pressed."""
    browser.run(
        "delete document.getElementById('answer').dataset.values;"
        "for (const [name, value] of Object.entries(given[0])) document.querySelector(name).value = value;"
        "document.getElementById('answer-it').click();",
        fields,
    )
    return answered(browser)


def assert_as_predicted(got: dict[str, Any], wanted: dict[str, Any], *, exact: bool = False) -> None:
    assert got["label"] == (wanted["label"] or "")
    (values,) = got["values"].values()
    near = 5.1e-7 + (0 if exact else 1e-5)  # they are said in 6 digits
    np.testing.assert_allclose(float(got["probability"]), wanted["probability"], rtol=0, atol=near)
    np.testing.assert_allclose(values, list(wanted["probabilities"].values()), rtol=0, atol=near)


def canvas(browser: browsers.Browser, selector: str, path: Path) -> Path:
    """What a canvas shows, as a PNG."""
    data = browser.run("return document.querySelector(given[0]).toDataURL('image/png')", selector)
    path.write_bytes(base64.b64decode(data.partition(",")[2]))
    return path


@needs_chromium
@pytest.mark.parametrize("name", ["float32", "integer"])
def test_a_drawing_is_answered_as_predict_answers_it(name, tiny_files, bundle, browser, tmp_path):
    run = bundle(getattr(tiny_files, name), tiny_files.task)
    browser.requests()
    with opened(run, browser) as server:
        browser.draw(".pad", [(-90, -70), (-20, -80), (-60, -20), (40, 10)])
        got = answered(browser)
        drawn, seen = canvas(browser, ".pad", tmp_path / "drawn.png"), canvas(browser, ".seen", tmp_path / "seen.png")
        assert_as_predicted(got, run.predict(drawn)[0], exact=name == "integer")
        (values,) = got["values"].values()
        read = pictures.read(drawn, channels=1, size=(8, 8)).pixels
        assert read.max() > 100
        np.testing.assert_array_equal(np.asarray(Pillow.open(seen).convert("L"))[..., None], read)
        if name == "integer":
            np.testing.assert_array_equal(values, run.answers(read[None])[0])
            assert (values * 256 == np.rint(values * 256)).all()
        requests = browser.requests()
        assert len(requests) >= 6
        assert all(one.startswith(server.address) for one in requests), "the page asks its own server alone"
        assert "ms in this browser" in browser.run("return document.getElementById('answer').textContent")
        assert browser.run("return document.querySelectorAll('tbody tr').length") == 3


@needs_chromium
def test_the_page_can_be_used_by_keys_on_a_phone_and_in_the_dark(tiny_files, bundle, browser, tmp_path):
    run = bundle(tiny_files.float32, tiny_files.task)
    with opened(run, browser):
        browser.run("document.querySelector('.pad').focus()")
        left, up, down, right = "\ue012", "\ue013", "\ue015", "\ue014"
        browser.press(*[left] * 6, *[up] * 6, " ", *[right] * 3, *[down] * 3, " ")
        drawn = answered(browser)
        assert_as_predicted(drawn, run.predict(canvas(browser, ".pad", tmp_path / "drawn.png"))[0])
        assert drawn["label"] == "upper left"
        assert browser.faults() == []
        browser.size(390)
        browser.dark()
        assert browser.faults() == []
        assert browser.run("return document.documentElement.scrollWidth") <= 390
        paper = browser.run("return getComputedStyle(document.body).backgroundColor")
        browser.dark(False)
        assert browser.run("return getComputedStyle(document.body).backgroundColor") != paper
        browser.size(1000)


def colour_file(task: Task) -> bytes:
    """Weights of a seed behind a picture's pixels, through a softmax."""
    import tensorflow as tf

    weights = np.random.default_rng(1).normal(0, 0.001, (12 * 10 * 3, 3)).astype(np.float32)

    @tf.function(input_signature=[tf.TensorSpec((1, 12, 10, 3), tf.float32, name="image")], autograph=False)
    def network(image):
        return {"probabilities": tf.nn.softmax(tf.reshape(image, (1, -1)) @ weights)}

    return tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()], tf.Module()).convert()


@needs_chromium
def test_a_picture_is_read_as_predict_reads_it(bundle, browser, tmp_path):
    """A fruit from the groceries, as a photograph is kept: larger than the model's pictures, turned, see-through."""
    pyarrow = pytest.importorskip("pyarrow.parquet")
    from kerastl.data import groceries

    task = Task("fruit", Image((12, 10, 3)), SingleLabel(("apple", "banana", "cherry")))
    content = pyarrow.read_table(groceries.fetch(), columns=["image_data"])["image_data"][0].as_py()
    fruit = Pillow.open(io.BytesIO(content)).convert("RGB")
    (tmp_path / "as_kept.jpg").write_bytes(content)
    exif = Pillow.Exif()
    exif[0x0112] = 6  # lying on its side
    fruit.save(tmp_path / "fruit.png")
    fruit.crop((0, 0, 344, 336)).save(tmp_path / "turned.jpg", quality=95, exif=exif)  # whole blocks of 8 pixels
    see_through = fruit.copy()
    see_through.putalpha(Pillow.fromarray(np.eye(*fruit.size[::-1], dtype=np.uint8) * 255))
    see_through.save(tmp_path / "transparent.png")
    fruit.resize((7, 5)).save(tmp_path / "small.png")
    fruit.resize((19, 23)).save(tmp_path / "small.jpg", quality=90)
    fruit.resize((60, 50)).save(tmp_path / "medium.jpg", quality=90)
    files = ("fruit.png", "turned.jpg", "as_kept.jpg", "small.jpg", "medium.jpg", "transparent.png", "small.png")
    run = bundle(colour_file(task), task)
    with opened(run, browser):
        for name in files:
            browser.run("delete document.getElementById('answer').dataset.values")
            browser.choose("input[type=file]", tmp_path / name)
            got = answered(browser)
            seen = np.asarray(Pillow.open(canvas(browser, ".seen", tmp_path / "seen.png")).convert("RGB"))
            read = pictures.read(tmp_path / name, size=(12, 10)).pixels
            off = np.abs(seen.astype(int) - read)
            if name.endswith(".jpg") and name != "small.jpg":  # Python decodes it at a fraction of its size
                assert off.mean() < 1.5, name
                assert got["label"] == run.predict(tmp_path / name)[0]["label"]
            else:
                assert off.max() == 0, name
                assert_as_predicted(got, run.predict(tmp_path / name)[0])


@needs_chromium
def test_a_sentence_is_answered_as_predict_answers_it(tiny_text, bundle, browser):
    run = bundle(tiny_text.float32, tiny_text.task)
    with opened(run, browser):
        for sentence in ("A good film!", "the BÄD films", "ba as goodb filmss", "好 bad\u00a0film"):
            assert_as_predicted(asked(browser, {"input": sentence}), run.predict(sentence)[0])
        browser.run("document.querySelector('input').value = ' '; document.getElementById('answer-it').click()")
        assert "a text is empty" in browser.wait("document.querySelector('.wrong')?.textContent")
        assert browser.faults() == []


@needs_chromium
@pytest.mark.parametrize("convention", ["xlm-roberta", "albert"])
def test_a_sentence_of_pieces_is_answered_as_predict_answers_it(convention, bundle, browser):
    task = Task("toy", sentencepiece_text(8, convention), SingleLabel(("bad", "gut")))
    run = bundle(tflite.convert(reads_ids(task.inputs), task), task)
    with opened(run, browser):
        for sentence in ("Très gut film", "e\u0301 é ﬃ ½", "``gut'' 19, 9,000 9,", "ΑΣ İ 👍🏽"):
            assert_as_predicted(asked(browser, {"input": sentence}), run.predict(sentence)[0])


@needs_chromium
def test_a_row_is_answered_as_predict_answers_it(bundle, browser, tmp_path):
    """Numbers in their own units, a category by its name; an integer file rounds them as Python does."""
    import tensorflow as tf

    kind = Numbers(
        (4,), ("hour", "season=summer", "season=winter", "temperature"), (12, 0.5, 0.5, 10), (7, 0.5, 0.5, 9)
    )
    task = Task("rentals", kind, Regression(("count",), (5.0,), (3.0,), unit="bicycles"))
    rows = (kind.noise(200) * [1, 0, 0, 1] + np.eye(4)[np.arange(200) % 2 + 1]).astype(np.float32)
    weights = np.asarray([[0.37], [2.1], [-1.3], [0.11]], np.float32)

    @tf.function(input_signature=[tf.TensorSpec((1, 4), tf.float32, name="numbers")], autograph=False)
    def network(numbers):
        return {task.target.output_name: numbers @ weights}

    def converter():
        return tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()], tf.Module())

    integer = converter()
    integer.optimizations = [tf.lite.Optimize.DEFAULT]
    integer.representative_dataset = lambda: ([row[None]] for row in rows)
    integer.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    integer.inference_input_type = integer.inference_output_type = tf.uint8
    for data, exact in ((converter().convert(), False), (integer.convert(), True)):
        run = bundle(data, task)
        with opened(run, browser):
            for hour, place, season, degrees in (("8", "0", "summer", "21.5"), ("23.25", "1", "winter", "-3")):
                fields = {"label:nth-of-type(1) input": hour, "select": place, "label:nth-of-type(3) input": degrees}
                got = asked(browser, fields)
                wanted = run.predict(f"hour={hour},season={season},temperature={degrees}")[0]["values"]["count"]
                ((value,),) = got["values"].values()
                assert value == wanted if exact else value == pytest.approx(wanted, abs=1e-5)
                assert got["words"].startswith("count ")
                assert got["words"].endswith(" bicycles")
        assert browser.faults() == []


@needs_chromium
def test_none_of_these_is_said_as_predict_says_it(tiny_files, bundle, browser, tmp_path):
    for threshold in (0.99, 0.2):
        target = dataclasses.replace(tiny_files.task.target, reject=RejectOption(2.5, threshold))
        run = bundle(tiny_files.float32, dataclasses.replace(tiny_files.task, target=target))
        with opened(run, browser):
            browser.draw(".pad", [(-60, -60), (50, -40), (60, 60)])
            got = answered(browser)
            wanted = run.predict(canvas(browser, ".pad", tmp_path / "drawn.png"))[0]
            assert got["label"] == (wanted["label"] or "")
            assert (got["words"] == "none of these") == (wanted["label"] is None) == (threshold == 0.99)
            assert float(got["probability"]) == pytest.approx(wanted["probability"], abs=1e-5)


@needs_chromium
def test_two_texts_and_tags_are_answered_as_predict_answers_them(tiny_text, bundle, browser):
    import keras

    pair = dataclasses.replace(tiny_text.task, inputs=TextPair(tiny_text.task.inputs.length, tiny_text.vocabulary))
    run = bundle(tiny_text.float32, pair)
    with opened(run, browser):
        for first, second in (("good film", "bad bad the film a!"), ("the films", "a")):
            got = asked(browser, {"p:nth-of-type(1) input": first, "p:nth-of-type(2) input": second})
            assert_as_predicted(got, run.predict(f"{first}\t{second}")[0])
    tags, length = ("O", "B-MOOD", "I-MOOD", "B-THING"), tiny_text.task.inputs.length
    which = np.zeros((len(tiny_text.vocabulary), 4), np.float32)
    for token, tag in (("good", 1), ("bad", 1), ("the", 2), ("film", 3)):
        which[tiny_text.vocabulary.index(token), tag] = 9
    ids = keras.Input((length,), dtype="int32", name="token_ids")
    model = keras.Model(ids, keras.layers.Embedding(len(which), 4, weights=[which], name="tag_of_token")(ids))
    task = dataclasses.replace(tiny_text.task, target=Tagging(tags))
    run = bundle(tflite.convert(model, task), task)
    with opened(run, browser):
        for sentence in ("good the films!", "the film", "a !", "bad good film"):
            assert asked(browser, {"input": sentence})["words"] == run.predict(sentence)[0]["words"]


@needs_chromium
def test_several_inputs_and_several_tasks(bundle, browser, tmp_path):
    import keras

    kind = Named((("photo", Image((4, 4, 3))), ("row", Numbers((2,), ("width", "height"), (1, 2), (1, 1)))))
    labels = ("a", "b")
    target = MultiTask((("which", MultiLabel(labels)), ("how_far", Regression(("far",), (0.0,), (1.0,), unit="m"))))
    photo, row = keras.Input((4, 4, 3), name="photo"), keras.Input((2,), name="row")
    mean = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(0.01)(photo))
    both = keras.layers.Concatenate()([mean, row])
    answers = {name: keras.layers.Dense(count, name=name)(both) for name, count in (("which", 2), ("how_far", 1))}
    keras.utils.set_random_seed(0)
    task = Task("both", kind, target)
    run = bundle(tflite.convert(keras.Model({"photo": photo, "row": row}, answers), task), task)
    picture = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    Pillow.fromarray(picture).save(tmp_path / "photo.png")
    with opened(run, browser):
        browser.choose("input[type=file]", tmp_path / "photo.png")
        browser.wait("document.querySelector('.seen').getContext('2d').getImageData(0, 0, 1, 1).data[3]")
        got = asked(
            browser, {"label:nth-of-type(1) input[type=number]": "-0.5", ".fields label:nth-of-type(2) input": "3"}
        )
        wanted = run.predict(f"photo={tmp_path / 'photo.png'} row=-0.5,3")[0]["tasks"]
        np.testing.assert_allclose(got["values"]["which"], list(wanted["which"]["probabilities"].values()), atol=1e-5)
        assert got["values"]["how_far"][0] == pytest.approx(wanted["how_far"]["values"]["far"], abs=1e-5)
        said = browser.run("return [...document.querySelectorAll('.said')].map(one => one.textContent)")
        assert said == [", ".join(wanted["which"]["labels"]) or "none", wanted["how_far"]["words"]]
        assert browser.faults() == []


@pytest.fixture
def without_runtime(monkeypatch):
    """The runtime stays where it is: what is served of it is nothing that these tests are about."""
    monkeypatch.setattr(litert_js, "files", dict)


def get(server: demo.Server, path: str, *, host: str | None = None, method: str = "GET") -> tuple[int, bytes, Any]:
    connection = http.client.HTTPConnection(server.host, server.server_port, timeout=10)
    connection.request(method, path, headers={} if host is None else {"Host": host})
    answer = connection.getresponse()
    return answer.status, answer.read(), answer.headers


def test_what_is_served_is_made_anew_and_nothing_else(finished, without_runtime):
    """A bundle may be anybody's, and its own page would run in the reader's browser."""
    written = (finished / "mobile" / page.NAME).read_bytes()
    (finished / "mobile" / page.NAME).write_bytes(b"<script>alert('a stranger')</script>")
    (finished / "mobile" / "secret.txt").write_text("no")
    with served(FinishedRun(finished)) as server:
        for path in ("/", "/index.html", "/?name=value"):
            status, content, headers = get(server, path)
            assert (status, content) == (200, written), "the page that the run wrote"
            assert headers["Content-Type"] == "text/html; charset=utf-8"
        assert get(server, "/model.tflite")[1] == (finished / "mobile" / "model.tflite").read_bytes()
        assert get(server, "/model.tflite", method="HEAD")[1] == b""
        for path in ("/secret.txt", "/README.md", "/../report.json", "/%2e%2e/report.json", "//etc/passwd", "/mobile"):
            assert get(server, path)[0] == 404, path


def test_only_this_machine_is_served_under_its_own_name(finished, without_runtime):
    with served(FinishedRun(finished)) as server:
        assert server.address == f"http://127.0.0.1:{server.server_port}/"
        assert server.address_in_network is None
        for host in (f"localhost:{server.server_port}", "127.0.0.1", f"[::1]:{server.server_port}"):
            assert get(server, "/", host=host)[0] == 200
        for host in ("evil.example", f"evil.example:{server.server_port}", "127.0.0.1.evil.example", ""):
            assert get(server, "/", host=host)[0] == 421, host


def test_a_network_is_served_where_somebody_says_so(monkeypatch):
    monkeypatch.setattr(demo, "network_address", lambda: "192.168.7.5")
    with demo.Server({"": b"page"}, host=demo.EVERYWHERE, port=0) as server:
        assert server.address == f"http://127.0.0.1:{server.server_port}/"
        assert server.address_in_network == f"http://192.168.7.5:{server.server_port}/"
        assert server.accepts("my-laptop.local:8000")
    with demo.Server({}, port=0) as first:
        with pytest.raises(OSError, match="in use"):
            demo.Server({}, port=first.server_port)
        monkeypatch.setattr(demo, "PORT", first.server_port)
        with demo.Server({}) as second:
            assert second.server_port != first.server_port


def test_a_file_that_does_not_say_what_it_takes_is_refused(tiny_files, tmp_path, without_runtime):
    (tmp_path / "model.tflite").write_bytes(tiny_files.float32)
    with pytest.raises(ValueError, match="Wanted a file that says in its metadata what it takes"):
        demo.files(FinishedRun(tmp_path))
