"""How the local stack is told what to do."""

import pytest

from local.settings import Fal, LocalError, Ports, claim, free_ports

PORTS = Ports(3000, 5000, 8787)


def test_ports_have_defaults() -> None:
    """Without variables, or with empty ones, the ports are the documented ones."""
    assert Ports.read({"API_PORT": ""}) == PORTS


def test_ports_come_from_variables() -> None:
    """Each port has its variable."""
    assert Ports.read({"API_PORT": "1", "AWS_PORT": "2", "FAL_PORT": "3"}) == Ports(1, 2, 3)


@pytest.mark.parametrize("text", ["http", "0", "65536", "-1", "٣"])
def test_what_is_no_port_is_named(text: str) -> None:
    """A variable that is no port is an error that names it."""
    with pytest.raises(LocalError, match=f"AWS_PORT={text} is no port"):
        Ports.read({"AWS_PORT": text})


def test_two_ports_must_differ() -> None:
    """One port for two of them is an error, and not a failure somewhere inside."""
    with pytest.raises(LocalError, match="the same port"):
        Ports.read({"AWS_PORT": "3000"})


def test_by_default_the_emulator_is_fal() -> None:
    """Without any setting, the functions talk to the emulator, with a key that means nothing."""
    fal = Fal.choose({"FAL_AUTH_SCHEME": "Bearer"}, PORTS)
    assert fal.emulated
    assert not fal.is_real
    assert fal.key == "local:local"
    assert fal.parameters == {
        "FalQueueUrl": "http://127.0.0.1:8787",
        "FalJwksUrl": "http://127.0.0.1:8787/.well-known/jwks.json",
        "FalOutputHosts": "http://127.0.0.1:8787",
        "UploadOwner": "local",
    }


def test_a_queue_url_takes_the_emulators_place() -> None:
    """With FAL_QUEUE_URL the functions talk to that address, with whatever else is set."""
    environment = {
        "FAL_QUEUE_URL": "http://127.0.0.1:9",
        "FAL_JWKS_URL": "http://127.0.0.1:9/keys",
        "FAL_OUTPUT_HOSTS": "http://127.0.0.1:9",
        "FAL_AUTH_SCHEME": "Bearer",
        "FAL_KEY": "a:b",
    }
    fal = Fal.choose(environment, PORTS)
    assert not fal.emulated
    assert not fal.is_real
    assert fal.key == "a:b"
    assert fal.parameters == {
        "FalQueueUrl": "http://127.0.0.1:9",
        "FalJwksUrl": "http://127.0.0.1:9/keys",
        "FalOutputHosts": "http://127.0.0.1:9",
        "FalAuthScheme": "Bearer",
        "UploadOwner": "local",
        "PollSeconds": "5",
    }


def test_a_key_alone_means_fal_itself() -> None:
    """With FAL_KEY only, the template's defaults stay, which are fal's own addresses; it is asked often."""
    fal = Fal.choose({"FAL_KEY": "a:b"}, PORTS)
    assert fal.is_real
    assert fal.parameters == {"UploadOwner": "local", "PollSeconds": "5"}
    assert fal.key == "a:b"


def test_a_taken_port_cannot_be_claimed() -> None:
    """A port that somebody answers on is refused."""
    with claim("API_PORT", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LocalError, match=f"API_PORT: port {port} is taken"):
            claim("API_PORT", port)


def test_free_ports_differ() -> None:
    """Each variable gets a port of its own."""
    assert len(set(free_ports().values())) == 3
