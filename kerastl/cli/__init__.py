"""The `kerastl` command: one file a group of commands, imported only when one of them is called.

Commands that need no model answer at once, so nothing here imports a framework, NumPy or rich at the top of a file.
Like a recipe this package is a corridor: it may name every room.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
from collections.abc import Iterator, Sequence

from kerastl.system import output, signals

__all__ = ["main"]

_AGAIN = "the same command again goes on from the last checkpoint"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line and returns its exit status: 0 done, 1 an error said in words, 130 Ctrl-C, 141
    nobody reads what is printed, 143 SIGTERM.

    Args:
        arguments: without the program's name; `sys.argv` where there are none.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words or os.environ.get("KERASTL_DEBUG", "") not in ("", "0")
    if arguments is None and words[:1] != ["completion"]:  # the command itself, and no call out of Python
        output.open_missing_streams()
        output.begin(verbose="--verbose" in words)
    output.quiet = "--quiet" in words
    words = [word for word in words if word not in ("--debug", "--quiet", "--verbose")]
    with output.cleaned(exits=True):
        try:
            try:
                return _main(words, debug=debug)
            finally:  # what is not flushed here is flushed by Python itself, which would show a trace
                for stream in (sys.stdout, sys.stderr):
                    stream.flush()
        except output.PipeClosed:  # `kerastl show ... | head`
            output.leave_closed_pipes()
            return output.CLOSED_PIPE


def _main(words: list[str], *, debug: bool) -> int:
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):  # names are anybody's, and a terminal may be ASCII
            reconfigure(errors="backslashreplace")
    output.quiet_libraries()
    try:
        with signals.sigterm_exits():
            return _dispatch(words)
    except KeyboardInterrupt:
        print(f"kerastl: interrupted; {_AGAIN}", file=sys.stderr)
        return 130
    except SystemExit as error:
        if error.code == 143:
            print(f"kerastl: asked to stop (SIGTERM); {_AGAIN}", file=sys.stderr)
        raise
    except Exception as error:
        if isinstance(error, BrokenPipeError) and output.leave_closed_pipes():  # of what writes past `Cleaned`, a bar
            return output.CLOSED_PIPE
        if debug or not isinstance(error, _said_in_words()):
            raise
        for line in (str(error) or type(error).__name__, *getattr(error, "__notes__", ()), *_where_to_get(error)):
            print(f"kerastl: {line}", file=sys.stderr)
        return 1


def _said_in_words() -> tuple[type[Exception], ...]:
    """Errors whose text is meant for the person at the keyboard; any other is a fault, shown with its trace."""
    kinds: tuple[type[Exception], ...] = (ValueError, OSError, ImportError, MemoryError)
    verify = sys.modules.get("kerastl.verify")  # if it was never imported it cannot have raised
    return (*kinds, verify.VerificationError) if verify is not None else kinds


def _where_to_get(error: Exception) -> Iterator[str]:
    """Of a package that is not installed: what brings it."""
    if isinstance(error, ModuleNotFoundError):
        from kerastl.cli import doctor

        if doctor.distribution() == "kerastl-light":
            yield "kerastl-light predicts, benchmarks and verifies; for all else: pip install kerastl"
        else:
            yield "`kerastl doctor` shows what is not installed"


def _dispatch(words: list[str]) -> int:
    if words[:1] == ["help"] and words[1:2] != ["--help"]:
        words = _asking_for_help(words[1:])
    if words[:2] == ["completion", "words"]:
        from kerastl.cli import completion

        return completion.words(words[3:])  # any words at all, behind `--`
    if words[:1] == ["run"] and not set(words[1:]) <= {"-h", "--help"}:
        from kerastl.cli import running

        return running.run(words[1:])  # a recipe's own flags are not argparse's to judge
    parser = _parser()
    if not words:
        parser.print_help()
        return 0
    if words[0].startswith("-"):
        parser.parse_args(words)
    known = commands(parser)
    if words[0] not in known:
        from kerastl.system import near_names

        hint = near_names.did_you_mean(words[0], known)
        raise ValueError(f"There is no command {words[0]!r}.{hint} Available: {', '.join(known)}.")
    options = vars(known[words[0]].parse_intermixed_args(words[1:]))  # flags before, between and behind
    module, function = options.pop("handler").split(":")
    return getattr(importlib.import_module(f"kerastl.cli.{module}"), function)(**options)


def _asking_for_help(words: list[str]) -> list[str]:
    """`help run` as `run --help`; `help mnist_mobile` and `help run mnist_mobile` as `run mnist_mobile --help`."""
    from kerastl.runs import recipes

    return [*(["run"] if words[:1] and words[0] in recipes.names() else []), *words, "--help"]


def commands(parser: argparse.ArgumentParser | None = None) -> dict[str, argparse.ArgumentParser]:
    """The commands by name, each with its own parser."""
    parser = parser or _parser()
    return next(action.choices for action in parser._actions if isinstance(action.choices, dict))


class _Version(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None):
        import kerastl

        print(f"kerastl {kerastl.__version__}")
        parser.exit()


def _with_json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", dest="as_json", help="print JSON for programs")


def _with_columns(command: argparse.ArgumentParser) -> None:
    for name in ("path", "text", "label", "split"):
        command.add_argument(
            f"--{name}-column", default=name, metavar="NAME", help=f"of a table, or a number from 1 (default {name})"
        )
    words = "between the classes of an example that may have several"
    command.add_argument("--label-separator", metavar="TEXT", help=words)
    command.add_argument("--label-columns", nargs="+", default=(), metavar="NAME", help="or its columns of 0 and 1")
    command.add_argument("--table", metavar="NAME", help="inside of a folder, of its pictures")
    command.add_argument("--root", metavar="FOLDER", help="that a table's paths start from")
    command.add_argument("--encoding", metavar="NAME", help="of a file that is no UTF-8")
    command.add_argument("--delimiter", metavar="SIGN", help="between the columns of a table")
    for name, what in (("quoting", "quotes around fields are none of them"), ("header", "the first line holds names")):
        command.add_argument(f"--{name}", choices=("auto", "yes", "no"), default="auto", help=f"whether {what}")
    for name in ("validation", "test"):
        command.add_argument(f"--{name}-file", metavar="FILE", help=f"of the {name} split, beside one of train")
    words = (
        "what is a class: the topmost folders, the inner ones by their names, each leaf by its path, or the names of "
    )
    words += "files before a number (default auto: the topmost, if no others may be meant)"
    places = ("auto", "top", "inner", "leaf", "name")
    command.add_argument("--classes-at", choices=places, default="auto", help=words)
    words = "what becomes of classes whose names differ in case alone (default ask)"
    command.add_argument("--class-case", choices=("ask", "merge", "keep"), default="ask", help=words)
    words = "what becomes of classes that are not in every split (default ask)"
    command.add_argument("--class-mismatch", choices=("ask", "merge", "skip", "split"), default="ask", help=words)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kerastl",
        description="From data to a phone: train, distil, compress, export and verify, recipe by recipe.",
        epilog="Start with `kerastl list`, then `kerastl run mnist_mobile`. --quiet shows errors and results alone, "
        "--verbose also what TensorFlow and other native libraries say, --debug where an error comes from.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, default=argparse.SUPPRESS, help="print the version")
    group = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, handler: str, *, help: str) -> argparse.ArgumentParser:
        one = group.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".", allow_abbrev=False)
        one.set_defaults(handler=handler)
        return one

    one = command("list", "catalogue:show_list", help="the recipes: what each does, how long it takes, its data")
    _with_json(one)
    one = command("show", "catalogue:show", help="print a recipe's source")
    one.add_argument("recipe", metavar="RECIPE")
    one = command("copy", "catalogue:copy", help="copy a recipe's source, to start one of your own")
    one.add_argument("recipe", metavar="RECIPE")
    one.add_argument("file", metavar="FILE")
    one = command("run", "running:run", help="run a recipe; the same command again resumes or reuses finished stages")
    one.usage = "kerastl run RECIPE_OR_FILE [--out DIR | --tag TAG] [--smoke] [--field.subfield VALUE ...]"
    one.add_argument("arguments", metavar="RECIPE_OR_FILE", nargs="+", help="its flags: kerastl run RECIPE --help")
    one = command("verify", "results:verify", help="measure a finished run's files again and fail on any difference")
    one.add_argument("folder", metavar="DIR", help="the run's folder, saved_models/RECIPE/TAG")
    one.add_argument("--data", metavar="PATH", help="where its data lie now, if they have moved")
    one.add_argument("--source", metavar="FILE", help="a Python file whose function load gave the run its data")
    one.add_argument("--download", action="store_true", help="fetch a data set that is not in the cache")
    one.epilog = (
        "Measured: every digest; each file's size, operators, scores and agreement on the run's own data; the choice, "
        "page and bundle that follow. Named as not measured: times, training curves, versions, and without Keras "
        "(kerastl-light) agreement and layers. A stranger's run is safe to verify where a child can be confined: "
        "docs/untrusted_files.md says on which systems, `kerastl doctor` for this one."
    )
    one = command(
        "predict",
        "results:predict",
        help="ask a run's exported file about pictures, arrays, sentences or rows of numbers",
    )
    one.add_argument("folder", metavar="DIR", help="the run's folder, saved_models/RECIPE/TAG")
    kinds = (
        "a picture, a folder of such or a pattern, an array (.npy, .npz; of pictures raw pixels 0..255), a sentence "
    )
    kinds += "in quotes, or numbers with commas, season=winter,hour=3 say; a table (.csv, .json, .parquet ...), or a "
    kinds += "text file (.txt) with an input a line; - is standard input, an input a line"
    one.add_argument("inputs", metavar="INPUT", nargs="+", help=kinds)
    one._negative_number_matcher = re.compile(r"-\.?\d")  # rows may begin so, -5,1,2, and no flag does
    one.add_argument("--variant", metavar="NAME", help="ask another file of the run (default the chosen one)")
    one.add_argument(
        "--column", metavar="NAME", help="column of a table that holds the sentences, or the pictures' paths"
    )
    one.add_argument("--top", type=int, metavar="N", help="show the N most probable classes")
    one.add_argument("--csv", action="store_true", dest="as_csv", help="print a table, a row an input")
    _with_json(one)
    one = command("enrol", "results:enrol", help="add examples of a name to the index that predict searches")
    one.add_argument("folder", metavar="DIR", help="the run's folder, of similarity or another run of vectors")
    one.add_argument("name", metavar="NAME", help="what the examples show, new or known already")
    one.add_argument("inputs", metavar="INPUT", nargs="+", help="as for predict: pictures, a folder, a pattern")
    one = command("demo", "results:demo", help="try a run's exported file in a browser, which asks no other server")
    one.add_argument("folder", metavar="DIR", help="the run's folder, saved_models/RECIPE/TAG, or a bundle")
    one.add_argument("--host", metavar="ADDRESS", help="of this machine (default 127.0.0.1, which nobody else reaches)")
    one.add_argument("--network", action="store_true", help="for a phone in the same network too: --host 0.0.0.0")
    one.add_argument("--port", type=int, metavar="NUMBER", help="where (default 8000, or any that is free)")
    one = command(
        "runs", "comparing:show_runs", help="the runs under saved_models: score, size, date; unfinished ones too"
    )
    one.add_argument("folder", metavar="DIR", nargs="?", default="saved_models", help="another folder of runs")
    _with_json(one)
    one = command(
        "compare", "comparing:compare", help="finished runs on the same data: cost, gain, and whether by chance"
    )
    one.add_argument(
        "folders", metavar="DIR", nargs="+", help="the runs' folders, saved_models/RECIPE/TAG, two at least"
    )
    one.add_argument("--data", metavar="PATH", help="where their data lie now, if they have moved")
    one.add_argument("--page", metavar="FILE", help="also write a page, as HTML")
    one.add_argument("--download", action="store_true", help="fetch a data set that is not in the cache")
    _with_json(one)
    one = command(
        "evaluate",
        "evaluation:evaluate",
        help="what a run's score hides: calibration, robustness, groups, explanations of the shipped file",
    )
    one.add_argument("folder", metavar="DIR", help="the run's folder, saved_models/RECIPE/TAG")
    one.add_argument("--coverage", type=float, default=0.95, help="of conformal sets and intervals (default 0.95)")
    one.add_argument("--also-test", metavar="PATH", help="a set from elsewhere, read like the run's own")
    words = "column of the table that names each example's group, sex say; folder for pictures in folders"
    one.add_argument("--group-column", metavar="NAME", help=words)
    one.add_argument("--positive", metavar="CLASS", help="whose rates are compared between groups")
    words = "these alone, gaussian_noise blur say, or none (default all of the kind of input)"
    one.add_argument("--corruptions", nargs="+", metavar="NAME", help=words)
    words = "test examples that are corrupted (default as many as take half a minute a file)"
    one.add_argument("--corruption-examples", type=int, metavar="N", help=words)
    one.add_argument("--explain", type=int, default=4, metavar="N", help="explain N mistakes (default 4)")
    one.add_argument("--seed", type=int, default=0, help="of corruptions and draws")
    one.add_argument("--data", metavar="PATH", help="where its data lie now, if they have moved")
    one.add_argument("--source", metavar="FILE", help="a Python file whose function load gave the run its data")
    one.add_argument("--download", action="store_true", help="fetch a data set that is not in the cache")
    _with_json(one)
    one.epilog = "Writes evaluation.json and evaluation.html into the run's folder; `kerastl verify` still holds."
    one = command("explain", "evaluation:explain", help="a page of what the shipped file's answers come from")
    one.add_argument("folder", metavar="DIR", help="the run's folder, saved_models/RECIPE/TAG")
    one.add_argument("inputs", metavar="INPUT", nargs="+", help="as for predict: a picture, a sentence, a row")
    one._negative_number_matcher = re.compile(r"-\.?\d")
    one.add_argument("--out", metavar="FILE", help="the page (default RECIPE-explained.html)")
    one.add_argument("--column", metavar="NAME", help="column of a table that holds the inputs")
    _with_json(one)
    one = command("push", "comparing:push", help="upload a finished run's bundle, with its model card, to a hub")
    one.add_argument("folder", metavar="DIR", help="the run's folder, saved_models/RECIPE/TAG")
    one.add_argument(
        "place", metavar="hf://OWNER/NAME", help="a repository of Hugging Face's hub, made if it is not there"
    )
    one.add_argument("--public", action="store_true", help="a repository that is made can be seen by all")
    one.add_argument("--revision", metavar="BRANCH", help="of a repository that is there (default main)")
    one = command("benchmark", "files:benchmark", help="size, operators, sparsity and latency of TFLite files")
    one.add_argument("files", metavar="FILE", nargs="+")
    one.add_argument("--threads", type=int, default=1, help="threads of the interpreter (default 1)")
    _with_json(one)
    one = command(
        "audit", "files:audit", help="everything wrong with a data set, or suspicious in a model, before it is used"
    )
    one.add_argument(
        "path", metavar="PATH", help="an array file, class folders of pictures or recordings, a table, or a model"
    )
    one.add_argument(
        "--model", metavar="MODEL", help="also list labels that this finished run, or of arrays this model, doubts"
    )
    words = "write doubtful labels of pictures or sentences into a page to click through, and a table beside it"
    one.add_argument("--page", metavar="FILE", help=words)
    one.add_argument("--quick", action="store_true", help="do not look for near duplicates across splits")
    one.add_argument("--group-column", metavar="NAME", help="a table's column of who speaks in recordings")
    one.add_argument("--group-pattern", metavar="REGEX", help="who speaks, in parentheses, in recordings' file names")
    _with_columns(one)
    _with_json(one)
    one = command("advise", "advise:advise", help="which model to start from for your data, why, and what it costs")
    one.add_argument("path", metavar="PATH", help="class folders of pictures, a table, an archive or arrays")
    one.add_argument("--megabytes", type=float, help="that the file on the phone may have")
    one.add_argument("--milliseconds", type=float, help="that one answer may take")
    one.add_argument("--unlabelled", metavar="PATH", help="more pictures, or texts, that have no labels")
    _with_columns(one)
    _with_json(one)
    one = command("fetch", "files:fetch", help="get a data set or weights into the cache")
    one.add_argument("name", metavar="NAME")
    one = command("completion", "completion:completion", help="what completes commands in your shell")
    one.add_argument("shell", metavar="SHELL", choices=("bash", "zsh", "fish"), help="bash, zsh or fish")
    one.epilog = 'bash and zsh: eval "$(kerastl completion bash)"; fish: kerastl completion fish | source'
    one = command("help", "help", help="what a command takes, or a recipe")
    one.add_argument("words", metavar="COMMAND", nargs="*", help="a command, a recipe, or nothing")
    one = command("doctor", "doctor:doctor", help="what is installed, and what will not work")
    one.add_argument("--imports", action="store_true", help="also import every package, which takes half a minute")
    _with_json(one)
    return parser
