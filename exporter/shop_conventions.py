"""The attributes of the shop's spans and logs, in the semantic conventions, old or new, that each pod's SDK speaks.

Source: https://opentelemetry.io/docs/specs/semconv/ 1.34 for the new names, 1.20 for the old ones.
"""

from exporter.shop_operations import Query
from exporter.shop_services import Attributes, Pod


def http_client(pod: Pod, verb: str, url: str, host: str, port: int, status: int) -> Attributes:
    """An HTTP request as its sender sees it."""
    if pod.language.modern:
        return {
            "http.request.method": verb,
            "url.full": url,
            "server.address": host,
            "server.port": port,
            "network.protocol.version": "1.1",
            "http.response.status_code": status,
        }
    return {
        "http.method": verb,
        "http.url": url,
        "net.peer.name": host,
        "net.peer.port": port,
        "http.flavor": "1.1",
        "http.status_code": status,
    }


def http_server(
    pod: Pod, verb: str, route: str, path: str, host: str, client: str, browser: str, status: int
) -> Attributes:
    """An HTTP request as its receiver sees it; `host` with port, `client` an address."""
    if pod.language.modern:
        return {
            "http.request.method": verb,
            "http.route": route,
            "url.path": path,
            "url.scheme": "http",
            "server.address": host,
            "client.address": client,
            "user_agent.original": "node-fetch/1.0 (+https://github.com/bitinn/node-fetch)",
            "http.response.status_code": status,
        }
    return {
        "http.method": verb,
        "http.route": route,
        "http.target": path,
        "http.host": host,
        "http.scheme": "http",
        "http.user_agent": browser,
        "net.peer.ip": client,
        "http.status_code": status,
    }


def rpc(pod: Pod, name: str, server: str, peer: str, status: int) -> Attributes:
    """A gRPC call, `name` as in `package.Service/Method`, `peer` the address at the other end."""
    service, _, method = name.partition("/")
    if pod.language.modern:
        return {
            "rpc.system": "grpc",
            "rpc.service": service,
            "rpc.method": method,
            "rpc.grpc.status_code": status,
            "server.address": server,
            "server.port": 8080,
            "network.peer.address": peer,
            "network.transport": "tcp",
        }
    return {
        "rpc.system": "grpc",
        "rpc.service": service,
        "rpc.method": method,
        "rpc.grpc.status_code": status,
        "net.peer.name": server if pod.service != server else peer,
        "net.peer.port": 8080,
        "net.transport": "ip_tcp",
    }


def query_attributes(query: Query, user: str) -> Attributes:
    """A database query; Redis's key is the user, as in the demo's cart."""
    if query.system == "redis":
        return {
            "db.system": "redis",
            "db.statement": query.statement,
            "db.redis.flags": "None",
            "db.redis.database_index": 0,
            "net.peer.name": "valkey-cart",
            "net.peer.port": 6379,
            "app.user.id": user,
        }
    return {
        "db.system": query.system,
        "db.name": "astronomy",
        "db.user": "shop",
        "db.operation": query.verb,
        "db.sql.table": query.table,
        "db.statement": query.statement,
        "server.address": "astronomy-db",
        "server.port": 5432,
    }


def kafka_message(topic: str, operation: str, partition: int, size_bytes: int) -> Attributes:
    """A Kafka message on its way in or out."""
    return {
        "messaging.system": "kafka",
        "messaging.destination.name": topic,
        "messaging.operation": operation,
        "messaging.kafka.destination.partition": partition,
        "messaging.message.body.size": size_bytes,
        "net.peer.name": "kafka",
        "net.peer.port": 9092,
    }


def proxy(verb: str, url: str, browser: str, address: str, request_id: str, size_bytes: int) -> Attributes:
    """A request as Envoy describes it: numbers as strings, names of its own."""
    return {
        "component": "proxy",
        "http.method": verb,
        "http.url": url,
        "http.protocol": "HTTP/1.1",
        "user_agent.original": browser,
        "peer.address": address,
        "guid:x-request-id": request_id,
        "upstream_cluster": "frontend",
        "response_size": str(size_bytes),
    }


def code(pod: Pod, logger: str, name: str) -> Attributes:
    """Where a log record was written."""
    # A line of source for a name, the same in every process (`hash` is salted).
    line = 20 + sum(name.encode()) % 400
    if pod.language.modern:
        return {
            "code.function.name": f"{logger}.{name.rpartition('/')[2].rpartition(' ')[2]}",
            "code.file.path": f"/src/{pod.service}/{logger}",
            "code.line.number": line,
        }
    return {"code.filepath": f"/app/{pod.service}.js", "code.lineno": line, "log.iostream": "stdout"}
