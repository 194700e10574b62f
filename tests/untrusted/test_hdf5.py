"""Every way an HDF5 file can be more than its own bytes, built with h5py; the file Keras writes passes."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from kerastl.untrusted import hdf5


@pytest.fixture
def secret(tmp_path):
    """A file outside that a hostile one points to."""
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["value"] = np.arange(8.0)
    (tmp_path / "secret.bin").write_bytes(bytes(64))
    return tmp_path


def external_link(file, secret):
    file["layers/kernel"] = h5py.ExternalLink(str(secret / "secret.h5"), "/value")


def soft_link(file, secret):
    file["real"] = np.zeros(3)
    file["layers/kernel"] = h5py.SoftLink("/real")


def external_storage(file, secret):
    file.create_dataset("layers/kernel", (8,), "f8", external=[(str(secret / "secret.bin"), 0, 64)])


def virtual(file, secret):
    layout = h5py.VirtualLayout((8,), "f8")
    layout[:] = h5py.VirtualSource(str(secret / "secret.h5"), "value", (8,))
    file.create_virtual_dataset("layers/kernel", layout)


def objects(file, secret):
    file.create_dataset("layers/kernel", data=["code"], dtype=h5py.string_dtype())


def references(file, secret):
    file["real"] = np.zeros(3)
    file.create_dataset("layers/kernel", data=[file["real"].ref], dtype=h5py.ref_dtype)


def shape_bomb(file, secret):
    file.create_dataset("layers/kernel", (10**6, 10**6), "f4", chunks=(100, 100))


def zip_bomb(file, secret):
    file.create_dataset("layers/kernel", data=np.zeros((4000, 1000)), compression="gzip", compression_opts=9)


def named_type(file, secret):
    file["layers/kernel"] = np.dtype("f4")


HOSTILE = {
    external_link: "is a link to",
    soft_link: "is a link to",
    external_storage: "keeps its bytes in another file",
    virtual: "virtual data set",
    objects: "objects or references",
    references: "objects or references",
    shape_bomb: "and stores 0",
    zip_bomb: "declares 32,000,000 bytes",
    named_type: "neither a group nor a data set",
}


@pytest.mark.parametrize("build", HOSTILE, ids=lambda build: build.__name__)
def test_what_reaches_out_of_the_file_is_refused(secret, build):
    path = secret / "hostile.h5"
    with h5py.File(path, "w") as file:
        build(file, secret)
    with pytest.raises(hdf5.Hdf5Error, match=HOSTILE[build]) as refused:
        hdf5.inspect(path)
    assert "/layers/kernel" in str(refused.value)


def test_a_filter_from_elsewhere_is_refused(tmp_path):
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((4,))
    properties.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))  # Zstandard, a plug-in
    with h5py.File(tmp_path / "hostile.h5", "w") as file:
        space = h5py.h5s.create_simple((4,))
        h5py.h5d.create(file.id, b"kernel", h5py.h5t.IEEE_F32LE, space, dcpl=properties)
    with pytest.raises(hdf5.Hdf5Error, match="filter 32015"):
        hdf5.inspect(tmp_path / "hostile.h5")


def test_harmless_files_pass_and_damaged_ones_are_refused(tmp_path):
    path = tmp_path / "good.h5"
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = np.random.default_rng(0).normal(size=(300, 400)).astype("float32")
        file.create_dataset("layers/dense/vars/1", data=np.arange(1000), compression="gzip", shuffle=True)
        file["layers/again"] = file["layers"]  # a hard link that leads back up
        file["empty"] = h5py.Empty("f4")
    hdf5.inspect(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(hdf5.Hdf5Error, match="cannot be read"):
        hdf5.inspect(path)
    path.write_bytes(b"PK\3\4" + content)
    with pytest.raises(hdf5.Hdf5Error, match="no HDF5 file"):
        hdf5.inspect(path)


def test_data_sets_that_declare_too_much_together_are_refused(tmp_path):
    """Each of them is small enough not to be looked at by itself."""
    path = tmp_path / "bomb.h5"
    with h5py.File(path, "w") as file:
        for number in range(20):
            file.create_dataset(f"layers/{number}", (9_000_000,), "u1", chunks=(1_000_000,), compression="gzip")
    with pytest.raises(hdf5.Hdf5Error, match="declare 180,000,000 bytes in all"):
        hdf5.inspect(path)
