"""The examples of the OTLP Schema Implementation Plan, as they stand there: every one loads, and means what it says."""

from pathlib import Path
from typing import Any

import yaml

from exporter import promotion, settings
from exporter.promotion import TYPES, Promotion

BASE = """\
# Attribute promotion configuration for OTLP schema
# Promoted attributes are stored in typed tables for fast queries

resource:
  string:
    - service.name
    - service.namespace
    - service.instance.id
    - deployment.environment
    - cloud.provider
    - cloud.region
    - cloud.availability_zone
    - k8s.cluster.name
    - k8s.namespace.name
    - k8s.pod.name
    - k8s.deployment.name
    - host.name
    - host.type
    - container.name
    - container.id

  int:
    - service.port

  # Other types: double, bool, bytes

scope:
  string:
    - otel.library.name
    - otel.library.version

logs:
  # Log-specific promoted attributes
  string:
    - log.level
    - log.logger
    - log.file.name
    - log.file.path
    - error.type
    - exception.type
    - exception.message

  int:
    - log.line
    - error.code
    - http.status_code

spans:
  string:
    - http.method
    - http.route
    - http.url
    - http.target
    - http.host
    - http.scheme
    - db.system
    - db.name
    - db.operation
    - db.statement
    - messaging.system
    - messaging.destination
    - rpc.system
    - rpc.service
    - rpc.method
    - error.type
    - exception.type
    # AI/GenAI semantic conventions
    - gen_ai.system
    - gen_ai.request.model
    - gen_ai.response.model
    - llm.system
    - llm.request.type

  int:
    - http.status_code
    - rpc.grpc.status_code
    - gen_ai.usage.input_tokens
    - gen_ai.usage.output_tokens
    - gen_ai.usage.total_tokens

  double:
    - http.request.size
    - http.response.size
    - gen_ai.usage.cost

metrics:
  # For metric data points
  string:
    - endpoint
    - method
    - status_code
    - operation
    - job
    - instance
"""

CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: ollyscale-attribute-overrides
  namespace: ollyscale
data:
  attribute-overrides.yaml: |
    # Admin overrides - merged with base config
    # These are deployment-specific customizations

    promote:
      # Add custom promoted attributes per signal type
      resource:
        string:
          - custom.datacenter
          - custom.region

      spans:
        string:
          - custom.request_id
          - custom.user_id
          - app.feature_flag
        int:
          - custom.retry_count

      logs:
        string:
          - app.version
          - app.component

    drop:
      # Drop sensitive or high-cardinality attributes
      logs:
        - sensitive.password
        - sensitive.api_key
        - internal.debug_data

      spans:
        - temp.cache_data
        - internal.testing_flag

      resource:
        - internal.build_hash  # High cardinality
"""

HELM_VALUES = """\
receiver:
  attributeOverrides:
    enabled: true
    promote:
      spans:
        string:
          - custom.request_id
          - custom.user_id
    drop:
      logs:
        - sensitive.password
"""

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: ollyscale-receiver
spec:
  template:
    spec:
      containers:
      - name: receiver
        volumeMounts:
        - name: attribute-overrides
          mountPath: /config/attribute-overrides.yaml
          subPath: attribute-overrides.yaml
          readOnly: true
      volumes:
      - name: attribute-overrides
        configMap:
          name: ollyscale-attribute-overrides
          optional: true  # Optional - falls back to base config only
"""


def overridden(text: str, folder: Path) -> Promotion:
    """The packaged base list with these overrides."""
    file = folder / "attribute-overrides.yaml"
    file.write_text(text)
    return promotion.load(overrides=file)


def assert_promotes(found: Promotion, lists: dict[str, Any]) -> None:
    """Every key of every section and type of `lists` is promoted."""
    for owner, types in lists.items():
        for name, keys in types.items():
            assert name in TYPES
            missing = [key for key in keys if name not in found.promoted_types(owner, key)]
            assert not missing, f"{owner}.{name}: {missing}"


def test_base_configuration_loads_as_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "attribute-promotion.yaml"
    file.write_text(BASE)
    found = promotion.load(base=file)
    lists = yaml.safe_load(BASE)
    assert_promotes(found, lists)
    listed = sum(len(set(keys)) for types in lists.values() for keys in types.values())
    assert sum(len(types) for keys in found.promoted.values() for types in keys.values()) == listed


def test_packaged_list_holds_the_whole_base_configuration() -> None:
    assert_promotes(promotion.load(), yaml.safe_load(BASE))


def test_config_map_document_loads_as_it_stands(tmp_path: Path) -> None:
    text = yaml.safe_load(CONFIG_MAP)["data"]["attribute-overrides.yaml"]
    found = overridden(text, tmp_path)
    assert_promotes(found, yaml.safe_load(text)["promote"])
    assert_promotes(found, yaml.safe_load(BASE))
    assert found.dropped("logs").names == {"sensitive.password", "sensitive.api_key", "internal.debug_data"}
    assert found.dropped("spans").names == {"temp.cache_data", "internal.testing_flag"}
    assert found.dropped("resource").names == {"internal.build_hash"}
    assert not found.dropped("metrics")


def test_helm_values_give_a_document_that_loads(tmp_path: Path) -> None:
    values = yaml.safe_load(HELM_VALUES)["receiver"]["attributeOverrides"]
    text = yaml.safe_dump({key: values[key] for key in ("promote", "drop")})
    found = overridden(text, tmp_path)
    assert_promotes(found, {"spans": {"string": ["custom.request_id", "custom.user_id"]}})
    assert found.dropped("logs").names == {"sensitive.password"}


def test_the_deployment_mounts_it_where_it_is_looked_for() -> None:
    (container,) = yaml.safe_load(DEPLOYMENT)["spec"]["template"]["spec"]["containers"]
    assert [str(settings.load(environ={}).attribute_overrides)] == [m["mountPath"] for m in container["volumeMounts"]]
