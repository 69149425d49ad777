"""Large files against a running sandbox: in parts, on after a cut, read by the coordinator's own process."""

from pathlib import Path
from typing import Any

import pytest

from computenet_client import Network, Refused, Unreachable, parts

pytestmark = pytest.mark.processes
MiB = 1024**2
ROW = b"1.25,2.5,0.75\n"


def test_a_large_file_goes_in_parts_and_on_after_a_cut_and_what_was_sent_is_not_sent_again(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "large.csv"
    rows = 18 * MiB // len(ROW)
    file.write_bytes(b"a,b,c\n" + ROW * rows)
    monkeypatch.setattr(parts, "ABOVE_BYTES", MiB)
    sent: list[str] = []
    put = network.transport.put

    def cut_once(path: str, content: bytes) -> Any:
        if len(sent) == 1:
            sent.append("cut")
            raise Unreachable("the connection broke off.")
        sent.append(path.rpartition("/")[2])
        if sent[-1] == "2":  # another process sends the same, and is first to finish
            put(path, content)
            network.transport.call("POST", f"{path.rpartition('/parts')[0]}/finish", body={}, repeat=True)
        return put(path, content)

    monkeypatch.setattr(network.transport, "put", cut_once)
    with pytest.raises(Unreachable):
        network.upload(file)
    dataset = network.upload(file)
    assert sent == ["0", "cut", "1", "2"]
    assert (dataset.rows, dataset.columns) == (rows, ("a", "b", "c"))
    assert Network(network.url, client="alice").upload(file).id == dataset.id and len(sent) == 4


def test_a_large_file_that_is_no_table_is_refused_with_the_networks_sentence(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(parts, "ABOVE_BYTES", 1000)
    file = tmp_path / "words.csv"
    file.write_bytes(b"a,b\n" + b"one,two\n" * 1000)
    with pytest.raises(Refused, match="column"):
        network.upload(file)
    with parts._bar("words.csv", 100, True) as tell:
        tell("sending", 0.5)
    assert "words.csv" in capsys.readouterr().err
