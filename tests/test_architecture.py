"""The laws of the house, read off the syntax tree: nothing here imports what it judges.

A folder is a family that grows, a file is a stage that exists once; rooms do not open into one another; each room names
only its own frameworks. Where practice proves a row wrong, change it here, with the reason beside it.
"""

from __future__ import annotations

import ast
import fnmatch
import functools
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HOUSE = ROOT / "kerastl"

KERAS = {"keras", "keras_hub"}
TF_KERAS = {"tf_keras"}
TFMOT = {"tensorflow_model_optimization"}
TENSORFLOW = {"tensorflow", "tensorflow_datasets", "tensorflow_text"}
LITERT = {"ai_edge_litert", "litert_quantizer"}
FRAMEWORKS = KERAS | TF_KERAS | TFMOT | TENSORFLOW | LITERT

# Which frameworks each room may name. A folder's row stands for all its files unless a file has a row of its own;
# families whose files differ have a row a file only, so that a new file needs a decision.
MAY_NAME: dict[str, set[str]] = {
    "types": set(),
    "system": set(),
    "system/memory": TENSORFLOW,  # what it lets go of is TensorFlow's
    "system/layer_graph": KERAS,  # two rooms go through the graphs of models
    "inputs": set(),  # the tokenizer is copied to where there is no framework
    "inputs/faces": LITERT,  # a published detector answers
    "inputs/augmentation": KERAS,  # Keras' own layers, imported when they are built: settings are read without
    "inputs/random_layers": KERAS,
    "inputs/random_waveforms": KERAS,
    "inputs/waveform_augmentation": KERAS,  # as inputs/augmentation
    "inputs/text": TENSORFLOW,  # the mask is applied inside the graph, and imported there
    "runs": set(),
    "runs/board": LITERT,  # the graph of the file
    "tasks": KERAS | TENSORFLOW,  # losses and metrics, imported where one is asked for
    "cli": set(),
    "__main__": set(),
    "data": set(),
    "data/orders": TENSORFLOW,  # orders are made inside the graph
    "data/pipeline": TENSORFLOW,  # the only tf.data code
    "data/tfds": TENSORFLOW,  # its sets are TensorFlow records
    "models": KERAS,
    "models/advice": set(),
    "models/sharing/ways": set(),  # names
    "training/fitting": KERAS | TENSORFLOW,  # seeds, TensorBoard and compiled steps are TensorFlow's
    "training/precision": KERAS | TENSORFLOW,  # which says what a GPU can do
    "training/fused_normalization": KERAS | TENSORFLOW,  # one operation of the one in place of the other's twelve
    "training/seeded": KERAS,
    "training/weight_decay": KERAS,
    "training/outside_callbacks": KERAS,
    "training/resume": KERAS | TENSORFLOW,  # the callbacks' room, one floor up
    "training/callbacks": KERAS | TENSORFLOW,  # the watch over weights is one graph
    "training/transfer": KERAS | TENSORFLOW,  # goes through batches
    "training/lp_ft": KERAS | TENSORFLOW,  # batches, in annotations
    "training/linear_head": KERAS | TENSORFLOW,  # a gradient
    "training/contrastive_pairs": KERAS,
    "training/sentences": set(),  # numbers
    "training/balancing": TENSORFLOW,  # what rules do to losses and gradients, inside the graph
    "training/balancing_rules": set(),  # names
    "training/metric_losses": set(),
    "training/balanced": KERAS | TENSORFLOW,  # a train step needs GradientTape
    "training/metric_learning": KERAS,  # losses are Keras operations
    "training/metric_training": KERAS,
    "training/private/accountant": set(),  # numbers
    "training/private/guarantee": set(),
    "training/private/clipping": KERAS | TENSORFLOW,  # gradients of single examples
    "training/private/private_model": KERAS | TENSORFLOW,  # a train step needs GradientTape
    "training/batching": TENSORFLOW,  # splits and arrays that come without the pipeline
    "distil/distribution_alignment": KERAS | TENSORFLOW,  # odds are moved inside the graph
    "distil/logit_cache": KERAS | TENSORFLOW,  # a teacher answers inside one graph
    "distil/fingerprints": KERAS,
    "distil/logit_storage": set(),
    "distil/compatibility": KERAS | TENSORFLOW,  # models and batches, for what they say of themselves
    "distil/distiller": KERAS | TENSORFLOW,  # a train step needs GradientTape
    "distil/features": KERAS,
    "distil/fixmatch": KERAS,  # a student, in an annotation
    "distil/label_propagation": set(),  # numbers
    "distil/noisy_student": set(),
    "distil/pseudo_labels": set(),
    "distil/schedules": TENSORFLOW,  # of the step, inside the graph
    "distil/teachers": KERAS | TENSORFLOW,  # an average is a model, moved inside the graph
    "distil/terms": TENSORFLOW,
    "distil/feature_losses": TENSORFLOW,
    "distil/losses": TENSORFLOW,
    "distil/numerics": TENSORFLOW,
    "pretraining/embeddings": TENSORFLOW,
    "pretraining/simclr": TENSORFLOW,
    "pretraining/barlow_twins": TENSORFLOW,
    "pretraining/vicreg": TENSORFLOW,
    "pretraining/byol": KERAS | TENSORFLOW,  # its predictor is a model
    "pretraining/dino": TENSORFLOW,
    "pretraining/simcse": TENSORFLOW,
    "pretraining/masked_autoencoder": TENSORFLOW,
    "pretraining/masked_features": KERAS | TENSORFLOW,  # a train step needs GradientTape
    "pretraining/masked_language": TENSORFLOW,
    "pretraining/masked_autoencoder_model": KERAS | TENSORFLOW,
    "pretraining/masked_language_model": KERAS | TENSORFLOW,  # a train step needs GradientTape
    "pretraining/training_step": KERAS | TENSORFLOW,  # it is GradientTape's
    "pretraining/two_views": KERAS | TENSORFLOW,  # a train step needs GradientTape
    "pretraining/collapse": KERAS,  # the guard is a callback
    "pretraining/methods": KERAS,  # projectors are models
    "pretraining/neighbour_score": KERAS,  # a callback
    "pretraining/probe": set(),  # numbers
    "compress/tf_keras/bridge": KERAS | TF_KERAS,
    "compress/tf_keras/operations": KERAS | TF_KERAS,
    "compress/tf_keras/composite_layers": KERAS,  # it draws their graphs
    "compress/tf_keras/tf_keras_layers": TF_KERAS | TENSORFLOW,  # layers written as graph operations
    "compress/prune": KERAS | TFMOT | TENSORFLOW,  # the masks are tf.Variables
    "compress/channels": KERAS,
    "compress/channels/importance": KERAS | TENSORFLOW,  # gradients
    "compress/qat": TF_KERAS | TFMOT | TENSORFLOW,  # ranges are variables
    "compress/quantize_scheme": TF_KERAS | TFMOT | TENSORFLOW,  # quantizers written as graph operations
    "compress/sequences": TF_KERAS | TENSORFLOW,  # a graph is walked
    "compress/lowering": TF_KERAS | TENSORFLOW,  # a graph is walked
    "compress/cluster": TF_KERAS | TFMOT | TENSORFLOW,  # TF-MOT's first centroids are made of tensors
    "compress/fine_tuning": TF_KERAS | TFMOT | TENSORFLOW,  # the training step
    "compress/ptq": LITERT,
    "compress/full_integer": LITERT,
    "compress/attention_masks": LITERT,
    "compress/calibration_runs": LITERT,
    "compress/four_bits": LITERT,
    "compress/quantizer_output": LITERT,
    "compress/finished_file": set(),
    "compress/exceptions": set(),
    "compress/float_file": LITERT,
    "compress/mixed_precision": LITERT,
    "compress/gptq": set(),
    "compress/rounding": LITERT,
    "export": TENSORFLOW | LITERT,
    "evaluate/intervals": set(),  # numbers
    "evaluate/calibration": set(),
    "evaluate/conformal": set(),
    "evaluate/groups": set(),
    "evaluate/explanations/grad_cam": KERAS | TENSORFLOW,  # gradients
    "evaluate/explanations/integrated_gradients": KERAS | TENSORFLOW,
    "evaluate/explanations/sanity": KERAS,  # a model's weights are shuffled
    "evaluate/explanations/occlusion": set(),  # answers alone
    "evaluate/explanations/rise": set(),
    "evaluate/explanations/permutation": set(),
    "evaluate/robustness": set(),
    "evaluate/corruptions": set(),  # arrays and words
    "evaluate/adversarial": KERAS | TENSORFLOW,  # gradients
    "untrusted/declared_size": KERAS,  # a model is built without values
    "untrusted/hdf5": set(),
    "untrusted/hdf5_child": set(),
    "untrusted/hdf5_copy": set(),
    "untrusted/keras2": set(),  # JSON in, JSON out
    "untrusted/keras_config": set(),  # a written list; what the installed Keras offers is not asked
    "untrusted/keras_file": KERAS,
    "untrusted/trusted": KERAS,  # which classes are layers
    "untrusted/saved_model_folder": TENSORFLOW,
    "untrusted/graph": TENSORFLOW,  # the register of operations
    "untrusted/sandbox": set(),
    "untrusted/confinement": set(),
    "untrusted/snapshots": set(),
    "untrusted/model_file": set(),  # the parent opens no model
    "untrusted/model_child": set(),
    "untrusted/tflite_file": set(),  # the parent reads no TFLite file
    "untrusted/tflite_child": set(),
    "verify": LITERT,
    "evaluate/privacy": set(),  # whatever answers is attacked
    "verify/chance": set(),  # numbers
    "verify/baseline": set(),  # numbers
}

# Rooms that may open into others, and why.
CORRIDORS = {
    "__main__": "`python -m kerastl`, which is the command line",
    "cli": "the command line walks through every room, as a recipe does",
    "runs": "the last stretch of every recipe's corridor; four recipes walked it with the same steps",
    "__init__": "the house's own door: `kerastl.run` and `kerastl.open`",
}

# Rooms that everybody may open into.
FREE = {"types", "system"}

# Doors between two rooms, and why.
DOORS = {
    ("data", "inputs"): "texts become token ids, and pictures pixels, as on the phone and in `predict`",
    ("data", "tasks"): "whoever reads labels knows what they are, and says so once",
    ("export", "inputs"): "the tokenizer goes to the phone as a file",
    (
        "models",
        "export",
    ): "a model's inputs and outputs are called, and two classes by one number told, as in its files",
    ("models", "inputs"): "an encoder's vocabulary has to be the texts' own, read off its file the one way",
    ("models", "untrusted"): "weights are somebody else's file, and looked at as such",
    ("untrusted", "verify"): "somebody else's file answers, and is measured, by the code for one's own, in a child",
    ("untrusted", "export"): "and says of itself, in its metadata, by the same code",
    ("compress", "training"): "a `fit` that survives its process is the same for whoever trains",
    (
        "compress",
        "export",
    ): "operators have the versions of their types, and a file is looked at before it leaves, whoever wrote it",
    (
        "pretraining",
        "distil",
    ): "a target network is a copy as a mean teacher is; roots and schedules are the same",
    ("distil", "training"): "the bar that shows a training shows a teacher that answers for as long",
}

# Files that import a module whose name is not written there, and why.
IMPORTS_BY_VARIABLE = {
    "cli/__init__.py": "a group of commands is imported only when one of them is called",
    "cli/files.py": "what can be fetched is found by looking, and imported when it is asked for",
    "models/pretrained/resolve.py": "as for cli/files.py",
    "export/keras_graph.py": "takes models of either Keras and asks the model itself whose layers to use",
}

# What is asked of every layout of files there is, in one test.
LISTED = {
    f"data/{name}.py" for name in ("column_roles", "overview", "picture_listing", "picture_places", "split_names")
}

ATTICS = {"util", "utils", "common", "helper", "helpers", "base", "misc", "shared", "core"}


def files_of(folder: Path) -> list[Path]:
    generated = HOUSE / "export" / "metadata_schema"
    return [path for path in sorted(folder.rglob("*.py")) if not path.is_relative_to(generated)]


FILES = files_of(HOUSE)
MODULES = [path for path in FILES if path.parent != HOUSE or path.name != "__init__.py"]


def label(path: Path) -> str:
    return path.relative_to(HOUSE).as_posix()


def module_of(path: Path) -> str:
    """`kerastl.data.mnist` for its file, `kerastl.data` for the folder's `__init__`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(path: Path) -> str:
    return path.relative_to(HOUSE).with_suffix("").parts[0]


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of(path: Path) -> Iterator[str]:
    """Every module a file imports anywhere in it, absolute, with the names taken from it (`kerastl.types.Task`)."""
    module = module_of(path)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in _at_run_time(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = node.module or ""
            if node.level:
                parent = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1])
                start = f"{parent}.{start}".rstrip(".")
            yield from (f"{start}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and _imports_by_call(node) and isinstance(node.args[0], ast.Constant):
            yield str(node.args[0].value)


def _at_run_time(tree: ast.AST) -> Iterator[ast.AST]:
    """All of a tree but what stands under ``if TYPE_CHECKING:``, which is for annotations and never imported."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"):
            yield node
            yield from _at_run_time(node)


def _imports_by_call(node: ast.Call) -> bool:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name in ("import_module", "__import__") and bool(node.args)


def row_of(path: Path) -> str | None:
    """The row of the table that speaks for a file: its own, or its folder's."""
    parts = path.relative_to(HOUSE).with_suffix("").parts
    for depth in range(len(parts), 0, -1):
        name = "/".join(parts[:depth])
        if name in MAY_NAME:
            return name
    return None


def test_how_many_files_were_looked_at():
    rooms = {room_of(path) for path in MODULES}
    print(f"{len(FILES)} files in {len(rooms)} rooms")
    assert len(FILES) >= 30
    assert {
        "types",
        "inputs",
        "data",
        "models",
        "training",
        "pretraining",
        "distil",
        "compress",
        "runs",
        "cli",
    } <= rooms
    assert len(rooms) <= 18, f"{len(rooms)} entries at the root of the house"
    found = {name for path in MODULES for name in imports_of(path)}
    assert {"keras", "tf_keras", "tensorflow"} <= found, "the reader of imports finds nothing"
    assert any(name.startswith("kerastl.types") for name in found)


def test_no_folder_of_tests_is_passed_over(pytestconfig):
    """By default pytest does not look into folders of some names, "build" and "dist" among them, and says nothing."""
    files = Path(__file__).parent.rglob("test_*.py")
    folders = {folder for path in files for folder in path.parent.relative_to(ROOT).parts}
    assert {"models", "training"} <= folders
    passed_over = pytestconfig.getini("norecursedirs")
    assert not [name for name in folders for pattern in passed_over if fnmatch.fnmatch(name, pattern)]


def test_two_processes_take_a_file_or_a_recipe_at_a_time(tmp_path):
    """In the suite's own scheduler: a recipe in both processes would be trained twice, a file's fixtures made twice."""
    content = "import os, pathlib, pytest, time\n"
    for name in ("smoke", "again"):
        content += f"@pytest.mark.parametrize('one', ['a', 'b', 'c', 'd', 'e', 'f'])\ndef test_{name}(one):\n"
        content += (
            "    time.sleep(0.02)\n    name = os.environ['PYTEST_XDIST_WORKER'] + pathlib.Path(__file__).stem + one\n"
        )
        content += "    (pathlib.Path(os.environ['FOUND']) / name).touch()\n"
    for name in ("conftest.py", "groups.py"):
        (tmp_path / name).write_text((ROOT / "tests" / name).read_text().replace("autouse=True", ""))
    for name in ("test_recipes.py", "test_first.py", "test_second.py"):
        (tmp_path / name).write_text(content)
    (tmp_path / "found").mkdir()
    options = ["-n", "2", "--dist=loadgroup", "--no-loadscope-reorder", "--import-mode=importlib"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "-o", "pythonpath=.", "."]
    environment = {**os.environ, "FOUND": str(tmp_path / "found")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = sorted(path.name for path in (tmp_path / "found").iterdir())
    assert len(found) == 18, f"a recipe or a file was in both processes: {found}"
    assert len({name.removeprefix("gw0").removeprefix("gw1") for name in found}) == 18
    for file in ("test_first", "test_second"):
        assert len({name[:3] for name in found if file in name}) == 1
    assert len({name[:3] for name in found if "test_recipes" in name}) == 2


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_every_file_has_a_row(path):
    if path.name == "__init__.py" and path.parent != HOUSE / "cli":
        return  # a family's door, judged below
    assert row_of(path), f"{label(path)} has no row in MAY_NAME: decide which frameworks it may name, and say so there"


@pytest.mark.parametrize("path", FILES, ids=label)
def test_a_room_names_only_its_own_frameworks(path):
    named = {name.split(".")[0] for name in imports_of(path)} & FRAMEWORKS
    allowed = MAY_NAME.get(row_of(path) or "", set())
    assert named <= allowed, f"{label(path)} names {named - allowed}; its row allows {allowed or 'no framework'}"


@pytest.mark.parametrize("path", FILES, ids=label)
def test_rooms_do_not_open_into_one_another(path):
    if room_of(path) in CORRIDORS:
        return
    own = f"kerastl.{room_of(path)}"
    for name in imports_of(path):
        if name.split(".")[0] != "kerastl":
            continue
        assert name != "kerastl", f"{label(path)} imports kerastl itself, which opens every room"
        inside = name == own or name.startswith(own + ".")
        inside |= (room_of(path), name.split(".")[1]) in DOORS
        assert inside or name.split(".")[1] in FREE, f"{label(path)} opens into {name}: let the recipe carry it"


def test_the_corridors_are_there():
    rooms = {room_of(path) for path in MODULES}
    gone = set(CORRIDORS) - rooms - {"__init__"}
    assert not gone, f"CORRIDORS lists rooms that are gone: {gone}"
    used = {(room_of(path), name.split(".")[1]) for path in MODULES for name in imports_of(path) if "kerastl." in name}
    assert set(DOORS) <= used, f"DOORS lists doors that nobody uses: {set(DOORS) - used}"
    assert len(DOORS) <= 14


@pytest.mark.parametrize("path", FILES, ids=label)
def test_no_import_hides_behind_a_variable(path):
    hidden = [
        node.lineno
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and _imports_by_call(node) and not isinstance(node.args[0], ast.Constant)
    ]
    assert bool(hidden) == (label(path) in IMPORTS_BY_VARIABLE), f"lines {hidden} of {label(path)}"


def test_the_library_never_imports_recipes():
    imported = ((label(path), f"{name}.") for path in FILES for name in imports_of(path))
    offenders = [where for where, name in imported if name.startswith(("recipes.", "kerastl.recipes."))]
    assert offenders == []


def test_importing_the_house_and_the_command_is_cheap():
    """The map, the families' doors and the command's files import nothing heavy at the top of the file."""
    doors = [path for path in FILES if path.name == "__init__.py" and path.parent != HOUSE / "cli"]
    command = files_of(HOUSE / "cli")
    assert len(doors) >= 6
    assert len(command) >= 4
    heavy = FRAMEWORKS | {"numpy", "rich", "tyro", "matplotlib", "jinja2", "PIL", "pyarrow", "flatbuffers"}
    for path in [*doors, *command, *files_of(HOUSE / "types"), HOUSE / "runs" / "recipes.py"]:
        for node in tree_of(path).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.split(".")[0] not in heavy, f"{label(path)} line {node.lineno} imports {name}"
                light = ("kerastl.cli", "kerastl.types", "kerastl.system", "kerastl.runs")
                inner = name.startswith("kerastl") and not name.startswith(light)
                assert not inner, f"{label(path)} line {node.lineno} imports {name} before it is needed"


def test_every_family_and_file_is_reached_lazily():
    for path in FILES:
        if path.name == "__init__.py" and path.parent not in (HOUSE / "cli", HOUSE / "types"):  # types are cheap
            calls = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)]
            assert any(getattr(call.func, "attr", "") == "attach" for call in calls), label(path)


def test_nothing_is_an_attic():
    names = {part.removesuffix(".py") for path in FILES for part in path.relative_to(HOUSE).parts}
    words = {word for name in names for word in name.split("_")}
    assert len(names) >= 25
    assert words & ATTICS == set()


def test_every_benchmark_is_in_their_list():
    folder = ROOT / "benchmarks"
    listed = re.findall(r"^\| `(\w+/\w+)` \|", (folder / "README.md").read_text(), re.MULTILINE)
    assert list(folder.glob("*.py")) == [], "a benchmark stands in the folder of its subject"
    names = {path: path.relative_to(folder).with_suffix("").as_posix() for path in folder.glob("*/*.py")}
    docstrings = {names[path]: ast.get_docstring(tree_of(path)) or "" for path in names}
    # what has no usage there is a part of another, or its child
    commands = {name for name, words in docstrings.items() if f"    python benchmarks/{name}.py" in words}
    assert len(commands) >= 25
    assert sorted(listed) == sorted(commands)


def test_every_benchmark_keeps_what_it_measured():
    """Each takes its flags from `benchmarks/tools/results.py`, which adds --json, and hands it what it measured."""
    looked = 0
    for path in sorted((ROOT / "benchmarks").glob("*/*.py")):
        tree = tree_of(path)
        mains = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "main"]
        if not mains or path.stem == "results_table":  # that one reads reports
            continue
        looked += 1
        calls = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call)]
        assert "results.parser(__doc__)" in calls, f"{path} has no --json"
        assert not [call for call in calls if call.startswith("argparse.ArgumentParser(")], path
        assert "options.results" in ast.unparse(tree), f"{path} hands nothing over"
    assert looked == 47


def test_nobody_writes_tf_keras_with_a_dot():
    """What `tf.keras` means depends on who was imported first, so it is written nowhere."""
    looked = 0
    for folder in ("kerastl", "recipes", "tests", "benchmarks", "tutorials"):
        for path in files_of(ROOT / folder):
            looked += 1
            for node in ast.walk(tree_of(path)):
                named: list[str] = []
                if isinstance(node, ast.Attribute) and node.attr == "keras" and isinstance(node.value, ast.Name):
                    named = [f"{node.value.id}.keras"]
                elif isinstance(node, ast.Import):
                    named = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    named = [f"{node.module}.{alias.name}" for alias in node.names]
                wrong = [name for name in named if name.startswith(("tf.keras", "tensorflow.keras"))]
                assert not wrong, f"{path.relative_to(ROOT)} line {getattr(node, 'lineno', '?')} has {wrong}"
    print(f"{looked} files")
    assert looked > len(FILES) + 5


def test_every_room_has_its_mirror_in_the_tests():
    lacking = []
    for path in MODULES:
        room, name = room_of(path), path.stem
        if (name == "__init__" and room != "cli") or name == "__main__":  # a door; the command
            continue
        if path.parent.name == "tables" or label(path) in LISTED:  # every format and layout through one contract test
            mirrors = [ROOT / "tests" / "families" / "test_layouts.py"]
        elif path.parent.name == "annotations":  # likewise
            mirrors = [ROOT / "tests" / "families" / "test_picture_layouts.py"]
        elif path.parent.name == "metric_learning":  # each loss against its formula
            mirrors = [ROOT / "tests" / "training" / "metric_learning" / "test_losses.py"]
        elif path.parent.name == "evaluation":  # every section through the evaluation of a run
            mirrors = [ROOT / "tests" / "runs" / "test_evaluation.py"]
        elif path.parent.name == "page" and name in ("rendering", "words"):  # through the report that they show
            mirrors = [ROOT / "tests" / "runs" / "test_report.py"]
        elif room == "models" and path.parent.name != "pretrained" and name not in ("advice", "heads"):
            # every builder through one contract test
            mirrors = [ROOT / "tests" / "families" / "test_builders.py"]
        elif path.parent == HOUSE or room in ("cli", "types"):
            mirrors = [ROOT / "tests" / f"test_{room}.py"]
        else:
            mirrors = [ROOT / "tests" / path.relative_to(HOUSE).parent / f"test_{name}.py"]
        lacking += [label(path)] if not any(mirror.is_file() for mirror in mirrors) else []
    assert lacking == []
