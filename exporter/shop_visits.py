"""One customer's visit to the shop, played through: the spans (`Step`) and log lines that it leaves in each service.

A visit is a pure function of seed and number, so that whoever needs its ids (a log, an exemplar) plays it again.
"""

from collections.abc import Mapping, Sequence
from random import Random

from exporter.shop_conventions import code, http_client, http_server, kafka_message, proxy, query_attributes, rpc
from exporter.shop_operations import (
    CONSUMERS,
    DEBUG,
    ERROR,
    FACTS,
    FAILURES,
    FRAMES,
    INFO,
    OPERATIONS,
    PAGES,
    Call,
    Operation,
    Publish,
    Query,
    Saying,
)
from exporter.shop_services import SERVICES, Attributes, Pod, Scope, Value

INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = 1, 2, 3, 4, 5
FAILURE_CHANCE = 0.014
"""Of one operation; a failure takes its callers along, so about 2.5 % of all spans end in an error."""

_PAGES, _WEIGHTS = tuple(PAGES), tuple(PAGES.values())
_CURRENCIES = ("USD", "EUR", "EUR", "GBP", "CHF", "JPY", "CAD")
_BROWSERS = tuple(
    f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 Safari/537.36"
    for system in ("Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64")
    for version in range(128, 139)
)


class Step:
    """One span to be; ends when its work is done."""

    __slots__ = (
        "attributes", "end", "error", "events", "kind", "links", "name", "parent_id", "pod", "scope", "span_id",
        "start", "trace_id",
    )  # fmt: skip

    def __init__(
        self,
        pod: Pod,
        scope: Scope,
        name: str,
        kind: int,
        trace_id: bytes,
        span_id: bytes,
        parent_id: bytes,
        start: int,
    ) -> None:
        self.pod = pod
        self.scope = scope
        self.name = name
        self.kind = kind
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_id = parent_id
        self.start = self.end = start
        self.attributes: Attributes = {}
        self.error = ""
        self.events: list[tuple[int, str, Attributes]] = []
        self.links: list[tuple[Step, Attributes]] = []


class Line:
    """One log record to be; `step` is the span it was written in."""

    __slots__ = ("attributes", "body", "event_name", "pod", "scope", "severity", "step", "time")

    def __init__(
        self, pod: Pod, scope: Scope, time: int, severity: int, body: Value, attributes: Attributes, step: Step | None
    ) -> None:
        self.pod = pod
        self.scope = scope
        self.time = time
        self.severity = severity
        self.body = body
        self.attributes = attributes
        self.step = step
        self.event_name = ""


class Visit:
    """The steps and lines of visit `number`, which begins at `start` (Unix ns)."""

    def __init__(self, seed: int, number: int, start: int, users: int, pods: Mapping[str, Sequence[Pod]]) -> None:
        self.steps: list[Step] = []
        self.lines: list[Line] = []
        self._rng = Random(f"{seed}/{number}")
        self._random = self._rng.random
        self._pods = pods
        self._now = start
        self._published: list[tuple[Step, Publish]] = []
        self._facts: Attributes = self._meet_customer(users)
        self._play()

    def _meet_customer(self, users: int) -> Attributes:
        # Squared: a few customers come often, most come once in a while.
        user = int(self._random() ** 2 * users)
        self._browser = _BROWSERS[user % len(_BROWSERS)]
        self._address = f"{11 + user % 180}.{user // 180 % 256}.{user // 7 % 256}.{1 + user % 250}"
        items = self._rng.randrange(1, 5)
        return {
            "user": f"user-{user:06d}",
            "session": self._uuid(f"{user:08x}"),
            "order": self._uuid(),
            "product": "",
            "currency": _CURRENCIES[user % len(_CURRENCIES)],
            "amount": round(self._rng.lognormvariate(4, 0.8), 2),
            "items": items,
            "tracking": self._uuid(),
            "transaction": self._uuid(),
        }

    def _uuid(self, head: str = "") -> str:
        digits = head + f"{self._rng.getrandbits(128):032x}"[len(head) :]
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def _play(self) -> None:
        page = OPERATIONS[self._rng.choices(_PAGES, _WEIGHTS)[0]]
        self._choose_product()
        root = self._open("frontend-proxy", None, page.verb, SERVER, self._rng.randbytes(16))
        root.name = "ingress"
        path = page.name.replace("[productId]", str(self._facts["product"]))
        url = f"http://shop.example.com{path}?sessionId={self._facts['session']}"
        size = 200 + int(self._random() * 20_000)
        root.attributes = proxy(page.verb, url, self._browser, self._address, self._uuid(), size)
        failed = self._call(root, page)
        self._close(root)
        root.attributes["http.status_code"] = "503" if failed else "200"
        if failed:
            root.error = "upstream request failed"
        self._write_access_log(root, page)
        for producer, message in self._published:
            for service in CONSUMERS:
                self._consume(producer, message, service)

    def _choose_product(self) -> None:
        self._facts["product"] = f"{int(self._random() ** 2 * 240) * 7919 % 900000 + 100000:06X}YH"

    def _open(self, service: str, parent: Step | None, name: str, kind: int, trace_id: bytes = b"") -> Step:
        """Begin a step: in the parent's own pod when it is a client or internal one, else in any of the service's."""
        if parent is not None and kind in (CLIENT, PRODUCER, INTERNAL):
            pod = parent.pod
        else:
            pods = self._pods[service]
            pod = pods[int(self._random() * len(pods))]
        step = Step(
            pod,
            pod.language.rpc,
            name,
            kind,
            trace_id or (parent.trace_id if parent else b""),
            self._rng.randbytes(8),
            parent.span_id if parent else b"",
            self._now,
        )
        self.steps.append(step)
        return step

    def _close(self, step: Step) -> None:
        step.end = self._now

    def _pass(self, mean_ms: float) -> None:
        self._now += 1_000 + int(self._rng.expovariate(1e-6 / mean_ms))

    def _call(self, caller: Step, operation: Operation) -> bool:
        """Client span, server span and all below; True when it failed."""
        client = self._open("", caller, operation.name, CLIENT)
        self._pass(0.2)
        server = self._open(operation.service, client, operation.name, SERVER)
        failed = self._perform(server, operation)
        self._close(server)
        self._pass(0.2)
        self._close(client)
        describe = self._describe_http if operation.verb else self._describe_rpc
        describe(client, server, operation, failed)
        if server.pod.language.threads:
            thread = self._thread(server.pod)
            server.attributes |= {"thread.id": thread, "thread.name": f"grpc-default-executor-{thread}"}
        for fact in operation.facts:
            server.attributes[FACTS[fact]] = self._facts[fact]
        if failed:
            client.error = client.error or server.error
        return failed

    def _perform(self, server: Step, operation: Operation) -> bool:
        self._pass(operation.work_ms / 2)
        if operation.event and self._random() < 0.6:
            server.events.append((self._now, operation.event, {"app.user.id": self._facts["user"]}))
        if self._random() < FAILURE_CHANCE:
            self._fail(server, operation)
            return True
        for action in operation.does:
            if not self._act(server, action):
                # What failed below is this operation's failure too, but only some frameworks record it again.
                server.error = f"failed to call {action.operation if isinstance(action, Call) else 'storage'}"
                if self._random() < 0.4:
                    self._fail(server, operation)
                return True
        self._pass(operation.work_ms / 2)
        for saying in operation.says:
            if self._random() < saying.chance:
                self._say(server, saying)
        return False

    def _act(self, server: Step, action: Call | Query | Publish) -> bool:
        if isinstance(action, Query):
            self._query(server, action)
        elif isinstance(action, Publish):
            self._publish(server, action)
        elif action.chance >= 1 or self._random() < action.chance:
            operation = OPERATIONS[action.operation]
            items = self._facts["items"]
            for _ in range(items if action.each and isinstance(items, int) else 1):
                if action.each:
                    self._choose_product()
                if self._call(server, operation) and action.vital:
                    return False
        return True

    def _query(self, server: Step, query: Query) -> None:
        step = self._open("", server, f"{query.verb} {query.table}".rstrip(), CLIENT)
        step.scope = step.pod.language.database
        self._pass(0.6)
        self._close(step)
        step.attributes = query_attributes(query, str(self._facts["user"]))
        if self._random() < 0.08:
            self._add_line(server, DEBUG, f"{query.verb} took {step.end - step.start} ns", {"db.system": query.system})

    def _publish(self, server: Step, message: Publish) -> None:
        step = self._open("", server, f"{message.topic} publish", PRODUCER)
        step.scope = step.pod.language.messaging
        self._pass(1.5)
        self._close(step)
        step.attributes = self._message(message.topic, "publish") | {"messaging.kafka.producer.success": True}
        self._published.append((step, message))

    def _message(self, topic: str, operation: str) -> Attributes:
        return kafka_message(topic, operation, int(self._random() * 6), 180 + int(self._random() * 900))

    def _consume(self, producer: Step, message: Publish, service: str) -> None:
        """A consumer goes on in the producer's trace or begins its own; it links to the producer either way."""
        group, same_trace, query, saying = CONSUMERS[service]
        self._now = producer.end
        self._pass(5.0)
        parent, trace_id = (producer, b"") if same_trace else (None, self._rng.randbytes(16))
        step = self._open(service, parent, f"{message.topic} process", CONSUMER, trace_id)
        step.scope = step.pod.language.messaging
        step.attributes = self._message(message.topic, "process")
        step.attributes["messaging.kafka.consumer.group"] = group
        step.attributes["messaging.kafka.message.offset"] = step.start // 50_000_000 % 10_000_000
        step.attributes["app.order.id"] = self._facts["order"]
        step.links.append((producer, {"messaging.kafka.message.key": self._facts["order"]}))
        self._pass(1.0)
        if query:
            self._query(step, query)
        self._say(step, saying)
        self._pass(1.0)
        self._close(step)

    def _describe_http(self, client: Step, server: Step, operation: Operation, failed: bool) -> None:
        status = 500 if failed else 200
        host, port = operation.service, 8080
        path = operation.name.replace("[productId]", str(self._facts["product"]))
        url = f"http://{host}:{port}{path}?sessionId={self._facts['session']}"
        client.name = f"router {host} egress" if client.pod.service == "frontend-proxy" else operation.verb
        server.name = f"{operation.verb} {operation.name}"
        client.scope, server.scope = client.pod.language.http, server.pod.language.http
        client.attributes = http_client(client.pod, operation.verb, url, host, port, status)
        server.attributes = http_server(
            server.pod, operation.verb, operation.name, path, f"{host}:{port}", client.pod.ip, self._browser, status
        )

    def _describe_rpc(self, client: Step, server: Step, operation: Operation, failed: bool) -> None:
        status = 14 if failed else 0
        client.attributes = rpc(client.pod, operation.name, operation.service, server.pod.ip, status)
        server.attributes = rpc(server.pod, operation.name, operation.service, client.pod.ip, status)
        if client.pod.language.runtime == "go" and self._random() < 0.3:
            client.events.append((client.start, "message", {"message.type": "SENT", "message.id": 1}))
            client.events.append((client.end, "message", {"message.type": "RECEIVED", "message.id": 1}))

    def _thread(self, pod: Pod) -> int:
        return pod.threads[int(self._random() * len(pod.threads))]

    def _fail(self, step: Step, operation: Operation) -> None:
        """Record an exception: an event and a status on the step, and an ERROR line."""
        language = SERVICES[step.pod.service]
        exception, template = self._rng.choice(FAILURES[language])
        message = template.format_map(self._facts)
        method = operation.name.rpartition("/")[2].strip("[]") or "handler"
        frame = FRAMES[language]
        trace = "\n".join(
            [f"{exception}: {message}"] + [frame.format(name, line) for name, line in ((method, 214), ("invoke", 87),
             ("handle", 131), ("intercept", 52), ("dispatch", 309), ("run", 18))]
        )  # fmt: skip
        details: Attributes = {"exception.type": exception, "exception.message": message, "exception.stacktrace": trace}
        step.error = message
        step.events.append((self._now, "exception", details | {"exception.escaped": "False"}))
        self._add_line(step, ERROR, f"{method} failed: {message}", details)

    def _say(self, step: Step, saying: Saying) -> None:
        facts = self._facts
        fields: Attributes = {FACTS[fact]: facts[fact] for fact in saying.fields}
        text = saying.text.format_map(facts)
        body: Value = text
        if saying.structured:
            body = {"message": text, "service": step.pod.service, "duration_ms": (self._now - step.start) / 1e6}
            body["context"] = {"currency": facts["currency"], "items": facts["items"], "retries": 0}
        line = self._add_line(step, saying.severity, body, fields)
        line.event_name = saying.event_name

    def _add_line(self, step: Step, severity: int, body: Value, attributes: Attributes) -> Line:
        pod = step.pod
        logger = f"{pod.service.title()}Service"
        attributes |= code(pod, logger, step.name)
        if pod.language.threads:
            attributes["thread.id"] = self._thread(pod)
        line = Line(pod, (logger, ""), self._now, severity, body, attributes, step)
        self.lines.append(line)
        return line

    def _write_access_log(self, root: Step, page: Operation) -> None:
        """Envoy's access log, and now and then a line of Kafka's, which belongs to no trace."""
        failed = bool(root.error)
        status = 503 if failed else 200
        duration = (root.end - root.start) // 1_000_000
        text = (
            f'"{page.verb} {root.attributes["http.url"]} HTTP/1.1" {status} - via_upstream {duration} "{self._browser}"'
        )
        attributes: Attributes = {
            "url.path": page.name,
            "http.response.status_code": status,
            "upstream.cluster": "frontend",
            "destination.address": root.pod.ip,
            "source.address": self._address,
            "log.iostream": "stdout",
        }
        self.lines.append(Line(root.pod, ("envoy", ""), root.end, ERROR if failed else INFO, text, attributes, root))
        if self._random() < 0.3:
            pod = self._pods["kafka"][0]
            partition = int(self._random() * 6)
            offset = root.end // 1_000_000_000
            text = f"[Broker id=1] Rolled new log segment at offset {offset} for partition orders-{partition}"
            attributes = {"log.file.name": "server.log", "log.file.path": "/var/log/kafka/server.log",
                          "thread.name": "kafka-log-cleaner", "log.logger": "kafka.log.UnifiedLog"}  # fmt: skip
            self.lines.append(Line(pod, ("kafka.log", ""), root.end, INFO, text, attributes, None))
