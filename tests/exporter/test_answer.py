"""`postel attributes` and `postel storage` print what a running server answers."""

import json
from pathlib import Path

import pytest

from exporter import cli, promotion
from tests.exporter.sending import span, spans
from tests.running import Server, serving

Printed = pytest.CaptureFixture[str]


def postel(printed: Printed, *arguments: str) -> tuple[int, str, str]:
    """The exit code of a command and what it printed."""
    code = cli.main(arguments)
    found = printed.readouterr()
    return code, found.out, found.err


def test_tables_and_json(server: Server, capsys: Printed) -> None:
    server.post("traces", spans(*(span(n, 1, has={"cart.items": 3}) for n in range(1, 4)))[1])
    code, text, errors = postel(capsys, "storage", "--url", server.url, "--budget", "50GiB", "--limit", "2")
    assert (code, errors) == (0, "")
    assert " in all, " in text.splitlines()[0] and "50.0GiB" in text.splitlines()[0]
    code, text, _ = postel(capsys, "storage", "--url", server.url, "--signal", "logs", "--signal", "spans", "--json")
    assert code == 0
    assert [line["signal"] for line in json.loads(text)["signals"]] == ["spans", "logs"]

    code, text, errors = postel(capsys, "attributes", "--url", server.url, "--signal", "spans")
    assert (code, errors) == (0, "")
    [row] = [line.split() for line in text.splitlines() if line.startswith("cart.items")]
    assert row[:5] == ["cart.items", "spans", "int", "series", "no"]
    code, text, _ = postel(capsys, "attributes", "--url", server.url, "--json")
    assert {item["key"] for item in json.loads(text)["attributes"]} == {"cart.items", "service.name"}
    assert json.loads(text)["suggestions"] is None


def test_suggestions_are_printed_as_they_load(server: Server, capsys: Printed, tmp_path: Path) -> None:
    server.post("traces", spans(span(1, 1, has={"cart.items": 3}))[1])
    for _ in range(100):
        server.get("/api/spans", **{"attr.cart.items": "3", "limit": "1"})
    _, text, _ = postel(capsys, "attributes", "--url", server.url)
    overrides = tmp_path / "overrides.yaml"
    overrides.write_text(text[text.index("## ") :])
    assert promotion.load(overrides=overrides).promoted_types("spans", "cart.items") == {"int"}


def test_a_token(database_url: str, capsys: Printed, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a-token-to-read-with-0123456789\n")
    with serving(database_url, {"READ_TOKEN_FILE": str(token)}) as server:
        code, text, errors = postel(capsys, "storage", "--url", server.url)
        assert (code, text) == (1, "")
        assert "401" in errors and "Authorization: Bearer TOKEN" in errors
        code, text, _ = postel(capsys, "storage", "--url", server.url, "--token-file", str(token))
        assert code == 0 and " in all" in text


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["storage", "--url", "localhost:4318"], 2, "--url: "),
        (["storage", "--token-file", "/nowhere"], 2, "--token-file: /nowhere"),
        (["storage", "--url", "http://127.0.0.1:1"], 1, "http://127.0.0.1:1: ConnectError"),
        (["attributes", "--url", "http://127.0.0.1:1"], 1, "http://127.0.0.1:1: ConnectError"),
    ],
)
def test_what_is_in_the_way(capsys: Printed, arguments: list[str], code: int, said: str) -> None:
    assert postel(capsys, *arguments)[0] == code
    cli.main(arguments)
    assert capsys.readouterr().err.startswith(said)


def test_what_the_server_does_not_understand(server: Server, capsys: Printed) -> None:
    code, _, errors = postel(capsys, "storage", "--url", server.url, "--budget", "much")
    assert code == 2
    assert errors == "budget: is no size: 'much'; for example 500MiB, 50GiB or bytes\n"


@pytest.mark.parametrize("command", ["storage", "attributes"])
def test_help_says_who_is_asked(command: str, capsys: Printed) -> None:
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    assert "Asks the read API of a running server" in capsys.readouterr().out
