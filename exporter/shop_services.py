"""Who works in the shop: its services, their pods, and the resource that each pod reports.

Shaped like the OpenTelemetry demo: one service in each common language, every one on Kubernetes, with the attributes
that an SDK and the Collector's `k8sattributes` and `resourcedetection` processors put on a resource.
Source: https://opentelemetry.io/docs/demo/architecture/ and the resource semantic conventions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

Scalar: TypeAlias = str | bool | int | float
Value: TypeAlias = "Scalar | Sequence[Value] | Mapping[str, Value]"
Attributes: TypeAlias = dict[str, Scalar]
Scope: TypeAlias = tuple[str, str]
"""Name and version of an instrumentation scope."""


@dataclass(frozen=True, slots=True)
class Language:
    """What the SDK of a language reports; `modern` says whether it uses the stable HTTP conventions."""

    sdk_version: str
    runtime: str
    runtime_version: str
    modern: bool
    http: Scope
    rpc: Scope
    messaging: Scope
    database: Scope

    @property
    def threads(self) -> bool:
        """Whether its SDK tells the thread."""
        return self.runtime in ("OpenJDK Runtime Environment", ".NET")


_JS = "@opentelemetry/instrumentation-"
_GO = "go.opentelemetry.io/contrib/instrumentation/"
_JAVA = "io.opentelemetry."
_NET = "OpenTelemetry.Instrumentation."

LANGUAGES: Mapping[str, Language] = {
    "go": Language(
        "1.37.0", "go", "go1.24.4", True,
        (_GO + "net/http/otelhttp", "0.62.0"), (_GO + "google.golang.org/grpc/otelgrpc", "0.62.0"),
        ("github.com/IBM/sarama/otelsarama", "0.42.0"), ("github.com/XSAM/otelsql", "0.39.0"),
    ),
    "nodejs": Language(
        "1.30.1", "nodejs", "22.17.0", False,
        (_JS + "http", "0.57.2"), (_JS + "grpc", "0.57.2"), (_JS + "kafkajs", "0.7.1"), (_JS + "pg", "0.51.1"),
    ),
    "java": Language(
        "1.51.0", "OpenJDK Runtime Environment", "21.0.7+6-LTS", True,
        (_JAVA + "netty-4.1", "2.17.0-alpha"), (_JAVA + "grpc-1.6", "2.17.0-alpha"),
        (_JAVA + "kafka-clients-2.6", "2.17.0-alpha"), (_JAVA + "jdbc", "2.17.0-alpha"),
    ),
    "dotnet": Language(
        "1.12.0", ".NET", "8.0.17", True,
        (_NET + "AspNetCore", "1.12.0"), (_NET + "GrpcNetClient", "1.12.0-beta.1"),
        (_NET + "ConfluentKafka", "0.1.0-alpha.2"), (_NET + "StackExchangeRedis", "1.12.0-beta.1"),
    ),
    "python": Language(
        "1.34.1", "cpython", "3.12.11", False,
        ("opentelemetry.instrumentation.requests", "0.55b1"), ("opentelemetry.instrumentation.grpc", "0.55b1"),
        ("opentelemetry.instrumentation.kafka", "0.55b1"), ("opentelemetry.instrumentation.psycopg2", "0.55b1"),
    ),
    "php": Language(
        "1.6.0", "cli", "8.4.8", False,
        ("io.opentelemetry.contrib.php.slim", "1.2.0"), ("io.opentelemetry.contrib.php.slim", "1.2.0"),
        ("io.opentelemetry.contrib.php.slim", "1.2.0"), ("io.opentelemetry.contrib.php.pdo", "0.1.0"),
    ),
    "ruby": Language(
        "1.8.0", "ruby", "3.4.4", False,
        ("OpenTelemetry::Instrumentation::Sinatra", "0.25.3"),
        ("OpenTelemetry::Instrumentation::Rack", "0.26.0"), ("OpenTelemetry::Instrumentation::Rack", "0.26.0"),
        ("OpenTelemetry::Instrumentation::PG", "0.30.0"),
    ),
    "rust": Language(
        "0.30.0", "rustc", "1.87.0", True,
        ("opentelemetry-instrumentation-actix-web", "0.22.0"), ("tonic", "0.13.1"), ("rdkafka", "0.37.0"),
        ("sqlx", "0.8.6"),
    ),
    "cpp": Language(
        "1.21.0", "g++", "14.2.0", True,
        ("opentelemetry-cpp", "1.21.0"), ("opentelemetry-cpp", "1.21.0"),
        ("opentelemetry-cpp", "1.21.0"), ("opentelemetry-cpp", "1.21.0"),
    ),
}  # fmt: skip

SERVICES: Mapping[str, str] = {
    "frontend-proxy": "cpp",
    "frontend": "nodejs",
    "cart": "dotnet",
    "checkout": "go",
    "payment": "nodejs",
    "product-catalog": "go",
    "recommendation": "python",
    "shipping": "rust",
    "quote": "php",
    "currency": "cpp",
    "ad": "java",
    "email": "ruby",
    "accounting": "dotnet",
    "fraud-detection": "java",
    "kafka": "java",
}
"""Service -> language."""


@dataclass(frozen=True, slots=True, eq=False)
class Pod:
    """One running copy of a service; `resource` is the message that leads its telemetry."""

    service: str
    language: Language
    name: str
    ip: str
    threads: tuple[int, ...]
    resource: Resource


def any_value(value: Value) -> AnyValue:
    """The OTLP value of a Python value; bool before int, because a bool is one."""
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, Mapping):
        return AnyValue(kvlist_value=KeyValueList(values=key_values(value)))
    return AnyValue(array_value=ArrayValue(values=[any_value(item) for item in value]))


def key_values(attributes: Mapping[str, Value]) -> list[KeyValue]:
    """One KeyValue per attribute, in the mapping's order."""
    return [KeyValue(key=key, value=any_value(value)) for key, value in attributes.items()]


def open_pods(seed: int, per_service: int) -> dict[str, list[Pod]]:
    """`per_service` pods of every service; the same ones for the same seed."""
    rng = Random(f"{seed}/pods")
    return {
        name: [_open_pod(rng, name, language, per_service) for _ in range(per_service)]
        for name, language in SERVICES.items()
    }


def _open_pod(rng: Random, service: str, language: str, per_service: int) -> Pod:
    name = f"{service}-{rng.getrandbits(36):09x}-{rng.getrandbits(20):05x}"
    ip = f"10.{rng.randrange(64, 128)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"
    node = f"ip-10-0-{rng.randrange(3)}-{rng.randrange(1, 5 + per_service)}.eu-central-1.compute.internal"
    spoken = LANGUAGES[language]
    attributes: dict[str, Value] = {
        "service.name": service,
        "service.namespace": "opentelemetry-demo",
        "service.version": "2.0.2",
        "service.instance.id": _uuid(rng),
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.language": language,
        "telemetry.sdk.version": spoken.sdk_version,
        "k8s.namespace.name": "otel-demo",
        "k8s.deployment.name": service,
        "k8s.pod.name": name,
        "k8s.pod.uid": _uuid(rng),
        "k8s.pod.ip": ip,
        "k8s.node.name": node,
        "host.name": name,
    }
    if spoken.modern:
        attributes["deployment.environment.name"] = "production"
    else:
        attributes["deployment.environment"] = "production"
        attributes["process.command_args"] = ["/usr/local/bin/" + spoken.runtime, "/app/" + service]
    if language in ("java", "nodejs", "python", "php"):
        attributes["process.pid"] = rng.randrange(1, 64)
        attributes["process.runtime.version"] = spoken.runtime_version
    threads = tuple(rng.sample(range(1, 200), 8))
    return Pod(service, spoken, name, ip, threads, Resource(attributes=key_values(attributes)))


def _uuid(rng: Random) -> str:
    digits = f"{rng.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"
