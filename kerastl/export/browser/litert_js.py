"""LiteRT.js, the runtime of the bundle's page in a browser: fetched when it is wanted, and never part of a bundle.

It is LiteRT itself as WebAssembly, with XNNPACK (Apache-2.0, npm `@litertjs/core`, released in 2026,
https://ai.google.dev/edge/litert/web). Others were looked at and not taken: MediaPipe's `tasks-vision` and `tasks-text`
bring resizing and a tokenizer of their own, which are not those that were proven, and take no tables;
`@tensorflow/tfjs-tflite` has ended as an alpha version. Tried in headless Chromium: float files answer as in Python to
1e-7, full-integer files to the bit.

Of its builds two are fetched, 19 MB: the one for browsers of today, and the one for those without relaxed SIMD. Neither
needs threads, nor pages that are isolated for them.
"""

from __future__ import annotations

from pathlib import Path

from kerastl.system import downloads

VERSION = "2.5.3"
FOLDER = "litert"
"""Where the page looks for the runtime, beside itself."""
_CORE = {
    "dist/index.js": "e7daccc3a31eef890848a737ccb863ded5f046a6b40c3fdc0556495adeb5d9b3",
    "wasm/litert_wasm_internal.js": "68efb69f770e3f76aff36a377de629ca496c131b86ac0f0f4b592a1543a898eb",
    "wasm/litert_wasm_internal.wasm": "7280cf4471774867e385e6c3cd53e2b45e2975b80fea338fff4ef359b0865614",
    "wasm/litert_wasm_compat_internal.js": "4d8f894b7883654fd6e8439730aa41e79ceaab7d19184fc4f1f0b0f1a2a2c8a5",
    "wasm/litert_wasm_compat_internal.wasm": "5255c8ad06eabdbd2522cdebf6b22fc10faf74625c23a49b9e072570cd1fa41c",
}
_LOADER = {"dist/index.js": "e0e20bc28ab001ac732cf40d15b6eebd24fb0deaeb95eeba5100f51eebf015f2"}


def _package(name: str, sha256: str, members: dict[str, str]) -> downloads.Files:
    """Files of one of the two packages: from the network's usual place, or taken out of npm's own file."""
    address = f"https://cdn.jsdelivr.net/npm/@litertjs/{name}@{VERSION}"
    ways = (
        downloads.Hub({f"{address}/{path}": digest for path, digest in members.items()}),
        downloads.Package(
            registry="npm",
            name=f"@litertjs/{name}",
            version=VERSION,
            sha256=sha256,
            members={f"package/{path}": digest for path, digest in members.items()},
        ),
    )
    return downloads.Files(
        name="litert_js", ways=ways, sha256={Path(path).name: digest for path, digest in members.items()}
    )


CORE = _package("core", "a97660833e9e7e1063c95e12016718881240b14f7438728a2f62785e912d30fd", _CORE)
LOADER = _package("wasm-utils", "ce2a1f8379c067be49e59752e5a7f40db6be09f6e497f0f11e59f17b515366a7", _LOADER)


def fetch() -> Path:
    """Gets LiteRT.js into the cache; the folder of its core. Raises as `downloads.fetch`."""
    return files()[f"{FOLDER}/{next(iter(_CORE))}"].parent


def files() -> dict[str, Path]:
    """What a server gives beside the page: path -> the cached file, fetched where it is not there.

    Raises:
        FileNotFoundError, PermissionError: as `downloads.fetch`.
    """
    core, loader = downloads.fetch(CORE), downloads.fetch(LOADER)
    found = {f"{FOLDER}/{path}": core[Path(path).name] for path in _CORE}
    return found | {f"{FOLDER}/wasm-utils/{path}": loader[Path(path).name] for path in _LOADER}
