"""What `login` keeps, and where the network, the client and the key come from."""

import pickle
import stat
from pathlib import Path

import pytest

from computenet_client import Network, Refused, config
from computenet_client.config import Config

KEPT = Config("https://compute.example.org", "alice", "cnk_alice")


def test_the_file_is_for_its_owners_eyes_alone() -> None:
    file = config.save(KEPT)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    config.save(Config("https://other.example.org", "bob"))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert config.load() == Config("https://other.example.org", "bob", None)
    assert [path.name for path in file.parent.iterdir()] == ["config.json"]


def test_the_environment_takes_the_place_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    config.save(KEPT)
    monkeypatch.setenv("COMPUTENET_CLIENT", "lab")
    monkeypatch.setenv("COMPUTENET_API_KEY", "cnk_lab")
    assert config.load() == Config(KEPT.url, "lab", "cnk_lab")


def test_a_key_never_goes_to_another_address_than_it_was_kept_for(monkeypatch: pytest.MonkeyPatch) -> None:
    config.save(KEPT)
    monkeypatch.setenv("COMPUTENET_URL", "https://evil.example.org")
    assert config.load() == Config("https://evil.example.org", None, None)


def test_without_either_the_error_says_what_to_do() -> None:
    with pytest.raises(Refused, match="Run `computenet login ADDRESS`"):
        Network.default()


@pytest.mark.parametrize("content", ["", "{}", "[]", "not json", '{"client": "alice"}'])
def test_a_damaged_file_is_named(content: str) -> None:
    file = config.save(KEPT)
    Path(file).write_text(content)
    with pytest.raises(Refused, match="delete it, and run `computenet login` again"):
        config.load()


def test_a_pickled_network_has_no_key_and_finds_the_kept_one_again() -> None:
    network = Network(KEPT.url, KEPT.key, client="alice")
    data = pickle.dumps(network)
    assert b"cnk_alice" not in data and "cnk_alice" not in repr(network)
    assert pickle.loads(data).transport.key is None
    config.save(KEPT)
    assert pickle.loads(data).transport.key == "cnk_alice"
