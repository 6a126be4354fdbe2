"""Model folders: equal content has one digest, and nothing that should not be in one gets in."""

from __future__ import annotations

import io
import random
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from detector_pool.models import MAX_FILES, MAX_MODEL_BYTES, check_model, open_files, opened, packed
from mesh.errors import InvalidArgument, NotFound

TOML = b'detector = "objects"\nname = "tiny"\n'


def folder_of(path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def zip_of(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return target.getvalue()


def test_a_folder_and_any_zip_of_it_have_the_same_digest(tmp_path: Path) -> None:
    files = {"model.onnx": b"graph" * 100, "detector.toml": TOML, "golden/000.grey": b"\0"}
    folder = folder_of(tmp_path / "tiny", files)
    inside = {f"tiny/{name}": data for name, data in reversed(files.items())}
    digests = {
        open_files(folder).digest,
        opened(packed(folder)).digest,
        opened(zip_of(files)).digest,
        opened(zip_of(inside, zipfile.ZIP_STORED)).digest,
    }
    assert len(digests) == 1
    assert opened(packed(folder)).packed() == packed(folder)


def test_another_byte_is_another_digest(tmp_path: Path) -> None:
    one = opened(zip_of({"detector.toml": TOML, "model.onnx": b"a"}))
    assert one.digest != opened(zip_of({"detector.toml": TOML, "model.onnx": b"b"})).digest


def test_hidden_files_do_not_count(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"detector.toml": TOML, ".DS_Store": b"x", ".git/config": b"y"})
    assert set(open_files(folder).files) == {"detector.toml"}


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "has no detector.toml"),
        ({"model.onnx": b""}, "There are: model.onnx"),
        ({"detector.toml": b"detector = objects"}, "cannot be read"),
        ({"detector.toml": b"\xff"}, "cannot be read"),
        ({"detector.toml": b'name = "tiny"'}, 'detector = "objects"'),
        ({"detector.toml": b'detector = "objects"'}, "says no name"),
        ({"detector.toml": b'detector = "objects"\nname = "../x"'}, "is no name"),
        ({"detector.toml": b'detector = 5\nname = "x"'}, "is no name"),
        ({"detector.toml": TOML + b"#" * 70_000}, "is longer than 64 KiB"),
        ({"detector.toml": TOML, "../../etc/passwd": b""}, "will not do"),
        ({"detector.toml": TOML, "/etc/passwd": b""}, "will not do"),
        ({"detector.toml": TOML, "a\\b": b""}, "will not do"),
        ({"detector.toml": TOML, "a/b/c/d/e": b""}, "will not do"),
        ({"detector.toml": TOML} | {f"f{i}": b"" for i in range(MAX_FILES)}, "holds more than 1024 files"),
    ],
)
def test_what_will_not_do_is_refused_with_its_name(files: dict[str, bytes], says: str) -> None:
    with pytest.raises(InvalidArgument, match=r".") as refused:
        opened(zip_of(files), "model.zip")
    assert says in str(refused.value)


def test_links_are_refused_in_folders_and_zips(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"key")
    folder = folder_of(tmp_path / "tiny", {"detector.toml": TOML})
    (folder / "model.onnx").symlink_to(tmp_path / "secret")
    with pytest.raises(InvalidArgument, match=r"model\.onnx .* is a link"):
        open_files(folder)
    entry = zipfile.ZipInfo("model.onnx")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("detector.toml", TOML)
        archive.writestr(entry, b"/etc/passwd")
    with pytest.raises(InvalidArgument, match="is a link"):
        opened(target.getvalue())


def test_a_zip_that_unpacks_to_more_than_the_bound_is_refused_before_it_is_unpacked() -> None:
    data = bytearray(zip_of({"detector.toml": TOML, "model.onnx": b"\0" * 1000}))
    at = data.rfind(b"PK\x01\x02")
    struct.pack_into("<L", data, at + 24, MAX_MODEL_BYTES)
    with pytest.raises(InvalidArgument, match="at most 512"):
        opened(bytes(data))


def test_a_zip_whose_sizes_lie_is_refused() -> None:
    data = bytearray(zip_of({"detector.toml": TOML, "model.onnx": b"\0" * 1000}))
    struct.pack_into("<L", data, data.rfind(b"PK\x01\x02") + 24, 10)
    with pytest.raises(InvalidArgument, match="zip"):
        opened(bytes(data))


def test_a_list_of_files_that_is_larger_than_any_models_is_not_read() -> None:
    data = bytearray(zip_of({"detector.toml": TOML}))
    struct.pack_into("<L", data, data.rfind(b"PK\x05\x06") + 12, 2 << 20)
    with pytest.raises(InvalidArgument, match="holds more than"):
        opened(bytes(data))


@pytest.mark.parametrize("cut", [0, 1, 30, 100, 150])
def test_a_zip_that_is_cut_is_refused(cut: int) -> None:
    with pytest.raises(InvalidArgument, match="no zip that can be read"):
        opened(zip_of({"detector.toml": TOML, "model.onnx": b"\1" * 50})[:cut])


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_done_to_a_zip_it_is_a_model_or_refused(seed: int) -> None:
    rng = random.Random(seed)
    good = zip_of({"detector.toml": TOML, "model.onnx": bytes(range(256)), "golden/000.grey": b"\0" * 9})
    refused = 0
    for _ in range(250):
        data = bytearray(good)
        for _ in range(rng.choice((1, 1, 2, 8))):
            at = rng.randrange(len(data))
            data[at : at + rng.choice((1, 1, 1, 12))] = rng.randbytes(rng.choice((0, 1, 1, 1, 5)))
        try:
            opened(bytes(data))
        except InvalidArgument:
            refused += 1
    assert refused > 100


def test_a_zip_of_an_unusual_method_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="compressed in an unusual way"):
        opened(zip_of({"detector.toml": TOML}, zipfile.ZIP_LZMA))


def test_a_path_without_a_model_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="Name a folder"):
        open_files(tmp_path / "none")


def test_a_file_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(InvalidArgument, match=r"There are: detector\.toml"):
        opened(zip_of({"detector.toml": TOML})).read("model.onnx")


def test_a_model_for_a_detector_that_is_not_known_is_told() -> None:
    model = opened(zip_of({"detector.toml": b'detector = "objetcs"\nname = "tiny"'}))
    with pytest.raises(InvalidArgument, match="which is not known"):
        check_model(model)
