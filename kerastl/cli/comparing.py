"""`runs`, `compare` and `push`: which runs there are, how they stand beside one another, and one for others."""

from __future__ import annotations

import json

from kerastl.system import output


def show_runs(*, folder: str = "saved_models", as_json: bool = False) -> int:
    """Prints the runs under a folder, a line each; see `kerastl.runs.listing.runs`."""
    import kerastl
    from kerastl.runs.page import words

    found = kerastl.runs.listing.runs(folder)
    if as_json:
        print(json.dumps([one.as_json() for one in found], indent=2))
        return 0
    if not found:
        print(f"No run lies under {output.printable(folder)}: `kerastl run mnist_mobile` makes one.")
    width = max((len(f"{one.recipe}/{one.tag}") for one in found), default=0)
    for one in found:
        name = output.printable(f"{one.recipe}/{one.tag}").ljust(width)
        if one.finished and one.score is not None and one.bytes is not None:
            said = f"{one.metric} {words.score_words(one.score, one.units)}, {words.size(one.bytes)}, {one.chosen}"
            smoke = ", smoke run" if one.smoke else ""
            print(f"{name}  {output.printable(said)}{smoke}, {one.created[:10]}")
        else:
            print(f"{name}  {output.printable(one.note)}, {one.created[:10]}")
    return 0


def compare(
    *,
    folders: list[str],
    data: str | None = None,
    page: str | None = None,
    download: bool = False,
    as_json: bool = False,
) -> int:
    """Prints runs side by side, and which of them differ by more than chance; see `kerastl.compare`.

    Args:
        folders: of the runs.
        data: where their data lie now, if they have moved.
        page: a file to write the comparison into, as a page.
        download: whether a data set that is not in the cache may be fetched.
        as_json: for programs.
    """
    import kerastl
    from kerastl.runs.page import words

    opened = [kerastl.open(folder) for folder in folders]
    loud = not (output.quiet or as_json)
    found = kerastl.runs.comparison.compare(opened, data=data, download=download, progress=loud)
    if page is not None:
        found.page(page)
    if as_json:
        print(json.dumps(found.as_json(), indent=2))
        return 0
    units = found.units
    for row in found.rows:
        said = f"{words.score_words(row['score'], units)} ({words.score_words(row['score_low'], units)} to "
        said += f"{words.score_words(row['score_high'], units)}), {words.size(row['bytes'])}, "
        said += f"{words.milliseconds(row['milliseconds'])}, made in {words.duration(row['seconds'])}"
        print(f"{output.printable(row['name'])}: {found.metric} {output.printable(said)}")
    for pair in found.pairs:
        gain = " to ".join(words.difference(pair[key], units) for key in ("gain_low", "gain_high"))
        verdict = "differ" if pair["differs"] else "do not differ beyond chance"
        print(
            output.printable(
                f"{pair['one']} and {pair['other']} {verdict}: {words.difference(pair['gain'], units)} ({gain}), "
                f"p {pair['p']:.3g}, {pair['test']}"
            )
        )
    if page is not None:
        print(f"page: {output.printable(page)}")
    return 0


def push(*, folder: str, place: str, public: bool = False, revision: str | None = None) -> int:
    """Uploads a run's bundle and prints the address of the commit; see `kerastl.runs.pushing.push`."""
    import kerastl

    address = kerastl.runs.pushing.push(kerastl.open(folder), place, private=not public, revision=revision)
    print(f"pushed: {output.printable(address)}")
    return 0
