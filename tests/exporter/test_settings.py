"""Settings: four layers, every default documented, and a typed, frozen result."""

import typing
from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from yaml.nodes import MappingNode, Node

from exporter import settings
from exporter.errors import ConfigurationError
from exporter.settings import KEYS, LISTS, Settings
from exporter.settings_layers import variable

PACKAGED = files("config").joinpath("postel.yaml").read_text()


def load(text: str = "", flags: dict[str, str] | None = None, *, folder: Path, **environ: str) -> Settings:
    """Settings of a file with that text, an environment and flags."""
    file = folder / "mounted.yaml"
    file.write_text(text)
    return settings.load(file, environ, flags)


def entries(node: Node | None, prefix: str = "") -> dict[str, int]:
    """Dotted key -> line (from 0) of everything that a document sets, sections too."""
    assert isinstance(node, MappingNode)
    lines: dict[str, int] = {}
    for key, value in node.value:
        lines[prefix + key.value] = key.start_mark.line
        if isinstance(value, MappingNode):
            lines |= entries(value, f"{prefix}{key.value}.")
    return lines


def test_defaults_are_what_the_documentation_says() -> None:
    found = settings.load(environ={})
    assert found.bind == "127.0.0.1:4318"
    assert found.data_dir == Path(".postel")
    assert found.database_url is None
    assert found.max_body_bytes == 20 * 2**20
    assert found.max_attribute_value_bytes == 2**20
    assert found.max_attributes == 1024
    assert (found.body_stall_timeout, found.request_deadline, found.shutdown_grace) == (60, 9, 30)
    assert (found.dedup_window, found.accept_past, found.accept_future) == (6 * 3600, 30 * 86400, 86400)
    assert (found.partition_interval, found.partitions_ahead) == (86400, 2)
    assert found.intervals == {"spans": 86400, "logs": 86400, "metrics": 86400}
    assert found.retention == settings.Retention(spans=None, logs=None, metrics=None, max_size=None)
    assert (found.writers, found.readers) == (2, 1)
    assert found.verdict == settings.Verdict(
        new_value_share=0.95,
        min_distinct=64,
        max_distinct=1024,
        series_tokens=768,
        records_per_series=128,
        recent_series=512,
    )


def test_every_setting_stands_documented_in_the_packaged_file() -> None:
    found = entries(yaml.compose(PACKAGED, Loader=yaml.SafeLoader))
    sections = {key.split(".")[0] for key in KEYS if "." in key}
    assert set(found) == {*KEYS, *LISTS, *sections}
    lines = PACKAGED.splitlines()
    undocumented = [key for key, line in found.items() if not lines[line - 1].strip().startswith("# ")]
    assert not undocumented, f"config/postel.yaml: say in a comment above what it is: {undocumented}"
    assert not [key for key, line in found.items() if lines[line - 1].strip().startswith("# ---")]


def test_sections_hold_what_is_declared() -> None:
    hints = typing.get_type_hints(Settings)
    assert hints["retention"] is settings.Retention
    assert {key.removeprefix("verdict.") for key in KEYS if key.startswith("verdict.")} == set(
        settings.Verdict.__struct_fields__
    )


def test_each_layer_covers_the_one_before(tmp_path: Path) -> None:
    file = "bind: a:1\nwriters: 3\nreaders: 2\nretention: {logs: 14d}\n"
    environ = {"POSTEL_BIND": "b:2", "POSTEL_WRITERS": "4", "POSTEL_RETENTION_SPANS": "7d"}
    found = load(file, {"bind": "c:3", "verdict.min_distinct": "0"}, folder=tmp_path, **environ)
    assert (found.bind, found.writers, found.readers) == ("c:3", 4, 2)
    assert (found.retention.spans, found.retention.logs, found.retention.metrics) == (7 * 86400, 14 * 86400, None)
    assert (found.verdict.min_distinct, found.verdict.max_distinct) == (0, 1024)


def test_a_layer_can_take_back_an_optional_value(tmp_path: Path) -> None:
    file = "retention: {logs: 14d, spans: null}\ndatabase_url: postgresql://a/b\nattribute_overrides: none\n"
    found = load(file, folder=tmp_path, POSTEL_RETENTION_LOGS="none", POSTEL_DATABASE_URL="none")
    assert (found.retention.logs, found.retention.spans, found.database_url) == (None, None, None)
    assert found.attribute_overrides is None


def test_the_interval_of_a_signal_goes_before_that_of_all(tmp_path: Path) -> None:
    file = tmp_path / "postel.yaml"
    file.write_text(
        "partition_interval: 6h\npartition_intervals: {logs: 1h, metrics: 1w}\nretention: {max_size: 1.5TB}\n"
    )
    found = settings.load(file, environ={})
    assert found.intervals == {"spans": 6 * 3600, "logs": 3600, "metrics": 7 * 86400}
    assert found.retention.max_size == 1_500_000_000_000


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "retention:\nverdict: {}\n"])
def test_empty_files_and_sections_change_nothing(text: str, tmp_path: Path) -> None:
    assert load(text, folder=tmp_path) == settings.load(environ={})


def test_the_environment_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("writers: 5\n")
    assert settings.load(environ={"POSTEL_CONFIG": str(file)}).writers == 5
    other = tmp_path / "b.yaml"
    other.write_text("writers: 6\n")
    assert settings.load(other, {"POSTEL_CONFIG": str(file)}).writers == 6


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTEL_WRITERS", "7")
    assert settings.load().writers == 7


def test_every_setting_has_one_variable() -> None:
    assert len({variable(key) for key in KEYS}) == len(KEYS)
    assert variable("retention.spans") == "POSTEL_RETENTION_SPANS"


def test_variables_of_kubernetes_services_are_no_settings() -> None:
    links = {
        "POSTEL_SERVICE_HOST": "10.0.0.1",
        "POSTEL_SERVICE_PORT": "4318",
        "POSTEL_OTLP_RECEIVER_SERVICE_PORT_OTLP_HTTP": "4318",
        "POSTEL_OTLP_RECEIVER_PORT": "tcp://10.0.0.1:4318",
        "POSTEL_OTLP_RECEIVER_PORT_4318_TCP": "tcp://10.0.0.1:4318",
        "POSTEL_OTLP_RECEIVER_PORT_4318_TCP_ADDR": "10.0.0.1",
    }
    assert settings.load(environ={"PATH": "/bin", **links}) == settings.load(environ={})


def test_overrides_may_be_missing_only_by_default(tmp_path: Path) -> None:
    default = settings.load(environ={}).attribute_overrides
    assert default is not None and not default.exists()
    file = tmp_path / "overrides.yaml"
    file.write_text("")
    assert settings.load(environ={"POSTEL_ATTRIBUTE_OVERRIDES": str(file)}).attribute_overrides == file
    with pytest.raises(ConfigurationError) as caught:
        settings.load(environ={"POSTEL_ATTRIBUTE_OVERRIDES": "/config/attribute-overrides.yaml"})
    assert caught.value.problems == (
        "POSTEL_ATTRIBUTE_OVERRIDES: attribute_overrides: no such file; is /config/attribute-overrides.yaml",
    )


def test_a_password_is_in_no_problem() -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings.load(environ={"POSTEL_DATABASE_URL": "host=a password=hunter2"})
    assert "POSTEL_DATABASE_URL: database_url: " in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_problems_of_all_layers_come_together(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load("wirters: 1\nreaders: 9\n", {"bind": "x"}, folder=tmp_path, POSTEL_BNID="x", POSTEL_WRITERS="two")
    file = tmp_path / "mounted.yaml"
    assert caught.value.problems == (
        f"{file}:1: wirters: unknown key, did you mean writers?",
        "POSTEL_BNID: unknown variable, did you mean POSTEL_BIND?",
        f"{file}:2: readers: must be from 1 to 3; is 9",
        "POSTEL_WRITERS: writers: must be an integer; is two",
        "--bind: bind: must be HOST:PORT with a port from 0 to 65535, such as 127.0.0.1:4318; is x",
    )


def test_settings_cannot_be_changed() -> None:
    found = settings.load(environ={})
    with pytest.raises(AttributeError):
        found.writers = 3  # type: ignore[misc]
    assert hash(found) == hash(settings.load(environ={}))
