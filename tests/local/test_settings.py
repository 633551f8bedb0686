"""How the local stack is told what to do."""

from contextlib import ExitStack, suppress

import pytest

from local.settings import HOST, Fal, LocalError, Ports, TakenPortsError, claim, claim_all, free_ports, propose_ports

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


def test_all_that_are_no_ports_are_named_at_once() -> None:
    """Two wrong variables are one error, so that nobody corrects one and meets the other."""
    with pytest.raises(LocalError, match="API_PORT=x, FAL_PORT=0 is no port"):
        Ports.read({"API_PORT": "x", "FAL_PORT": "0"})


def test_two_ports_must_differ() -> None:
    """One port for two of them is an error that names both, and not a failure somewhere inside."""
    with pytest.raises(LocalError, match=r"^API_PORT and AWS_PORT are the same port, 3000$"):
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


def test_every_port_that_is_taken_is_named_once() -> None:
    """What stands in the way is told of all ports together, also where one is taken on two addresses; none is kept."""
    ports = free_ports()
    with ExitStack() as others:
        for address in (HOST, "127.0.0.9"):
            others.enter_context(claim("AWS_PORT", ports["AWS_PORT"], address)).listen()
        others.enter_context(claim("FAL_PORT", ports["FAL_PORT"])).listen()
        wanted = [(name, port, address) for name, port in ports.items() for address in (HOST, "127.0.0.9")]
        with pytest.raises(TakenPortsError) as caught:
            claim_all(wanted)
    assert caught.value.ports == {name: ports[name] for name in ("AWS_PORT", "FAL_PORT")}
    assert str(caught.value) == (
        f"AWS_PORT: port {ports['AWS_PORT']} is taken; AWS_PORT: port {ports['AWS_PORT']} of 127.0.0.9 is taken;"
        f" FAL_PORT: port {ports['FAL_PORT']} is taken"
    )
    for claimed in claim_all(wanted):
        claimed.close()


def test_a_port_that_nobody_has_but_cannot_be_opened_is_told_otherwise() -> None:
    """An address that is not this machine's is no port that is taken: the system's own word is told."""
    with pytest.raises(TakenPortsError, match=r"^AWS_PORT: port 5000 of 192\.0\.2\.1 cannot be opened \(.+\)$"):
        claim("AWS_PORT", 5000, "192.0.2.1")


@pytest.mark.parametrize(
    ("platform", "ports", "told"),
    [
        ("darwin", {"AWS_PORT": 5000}, True),
        ("darwin", {"API_PORT": 3000, "FAL_PORT": 7000}, True),
        ("darwin", {"API_PORT": 3000}, False),
        ("linux", {"AWS_PORT": 5000}, False),
    ],
)
def test_a_mac_s_airplay_is_told_of(
    monkeypatch: pytest.MonkeyPatch, platform: str, ports: dict[str, int], told: bool
) -> None:
    """On a Mac it is AirPlay Receiver that has 5000 and 7000, and the message says where to turn it off."""
    monkeypatch.setattr("sys.platform", platform)
    message = str(TakenPortsError(ports, [f"{name}: port {port} is taken" for name, port in ports.items()]))
    assert ("AirPlay Receiver" in message) is told
    assert ("System Settings, General, AirDrop & Handoff" in message) is told


def test_proposed_ports_are_free_and_differ() -> None:
    """In place of a port the next free one is proposed, and none that the stack has elsewhere."""
    first = free_ports()["API_PORT"]
    environment = {"API_PORT": str(first), "AWS_PORT": str(first + 1), "FAL_PORT": str(first + 3)}
    with claim("API_PORT", first), ExitStack() as others:
        with suppress(LocalError):
            others.enter_context(claim("somebody", first + 2)).listen()
        proposed = propose_ports({"API_PORT": first}, environment)
        assert proposed["API_PORT"] > first + 3 or proposed["API_PORT"] < first
        claim("API_PORT", proposed["API_PORT"]).close()
    both = propose_ports({"API_PORT": 65535, "AWS_PORT": 65535}, {})
    assert len(set(both.values()) | {65535}) == 3


def test_free_ports_differ() -> None:
    """Each variable gets a port of its own."""
    assert len(set(free_ports().values())) == 3
