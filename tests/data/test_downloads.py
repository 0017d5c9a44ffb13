import functools
import gzip
import hashlib
import http.server
import socket
import threading

import pytest
import torch
from torchvision import datasets

from firstlight import FashionMNIST
from firstlight.data import downloads
from firstlight.data.fashion_mnist import TEST, TRAIN
from firstlight.errors import DataError

FILES = [*TRAIN, *TEST]


@pytest.fixture
def raw(fashion_root):
    """Return the folder with the four files."""
    return fashion_root / "FashionMNIST" / "raw"


def ready(root):
    data = FashionMNIST(str(root))
    data.prepare_data()
    data.setup("fit")
    return data


@pytest.fixture
def refused(monkeypatch):
    """Let every download be refused at once."""
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", ["http://127.0.0.1:1/"])


def test_a_refused_download_names_the_folder_and_the_files(refused, tmp_path):
    with pytest.raises(DataError) as caught:
        FashionMNIST(str(tmp_path)).prepare_data()
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert str(tmp_path) in lines[0]
    assert "Connection refused" in lines[0]
    assert all(name in lines[1] for name in [str(tmp_path / "FashionMNIST" / "raw"), *FILES])
    assert list(tmp_path.iterdir()) == []


def test_a_refused_download_leaves_no_folder_that_was_not_there(refused, tmp_path):
    with pytest.raises(DataError):
        FashionMNIST(str(tmp_path / "new" / "data")).prepare_data()
    assert list(tmp_path.iterdir()) == []


def test_a_refused_download_leaves_what_was_there(refused, fashion_root, raw):
    (raw / FILES[3]).unlink()
    with pytest.raises(DataError, match="Connection refused"):
        FashionMNIST(str(fashion_root)).prepare_data()
    assert sorted(path.name for path in raw.iterdir()) == sorted(FILES[:3])


def test_a_server_that_does_not_answer_is_given_up(monkeypatch, tmp_path):
    assert downloads.TIMEOUT == 20
    with socket.create_server(("127.0.0.1", 0)) as server:  # it accepts connections, and is silent
        monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [f"http://127.0.0.1:{server.getsockname()[1]}/"])
        monkeypatch.setattr(downloads, "TIMEOUT", 0.1)
        with pytest.raises(DataError, match=r"could not be downloaded: .*timed out"):
            FashionMNIST(str(tmp_path)).prepare_data()


def test_a_server_that_stops_in_the_middle_is_given_up(monkeypatch, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
            connections.append(connection)  # which keeps it open

        connections = []
        threading.Thread(target=answer, daemon=True).start()
        monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [f"http://127.0.0.1:{server.getsockname()[1]}/"])
        monkeypatch.setattr(downloads, "TIMEOUT", 0.3)
        with pytest.raises(DataError, match=r"could not be downloaded: .*timed out"):
            FashionMNIST(str(tmp_path)).prepare_data()
        for connection in connections:
            connection.close()
    assert list(tmp_path.iterdir()) == []


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.mark.parametrize("is_damaged", [False, True])
def test_files_are_downloaded_and_their_checksums_checked(is_damaged, raw, monkeypatch, tmp_path):
    served = tmp_path / "served"
    served.mkdir()
    resources = []
    for name in FILES:
        content = gzip.compress((raw / name).read_bytes())
        resources.append((f"{name}.gz", hashlib.md5(content).hexdigest()))
        (served / f"{name}.gz").write_bytes(content[:-9] if is_damaged else content)
    handler = functools.partial(Quiet, directory=served)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        monkeypatch.setattr(datasets.FashionMNIST, "resources", resources)
        if is_damaged:
            with pytest.raises(DataError, match="could not be downloaded: File not found or corrupted"):
                ready(tmp_path / "new")
        else:
            assert torch.equal(ready(tmp_path / "new").train[0], ready(raw.parents[1]).train[0])
        server.shutdown()


def test_a_root_that_is_a_file_is_told(refused, tmp_path):
    (tmp_path / "data").write_text("no folder")
    with pytest.raises(DataError, match=f"no Fashion-MNIST in {tmp_path / 'data'}"):
        FashionMNIST(str(tmp_path / "data")).prepare_data()


def test_files_that_are_there_are_not_downloaded(refused, fashion_root):
    FashionMNIST(str(fashion_root)).prepare_data()
