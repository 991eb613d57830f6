// The three providers of the OpenTelemetry SDK, exporting over OTLP/HTTP, and what each exporter was given.

import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { SeverityNumber } from "@opentelemetry/api-logs";
import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-http";
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-http";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { JsonLogsSerializer, JsonMetricsSerializer, JsonTraceSerializer } from "@opentelemetry/otlp-transformer";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";
import { AggregationType, MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { BatchSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";

const SCOPE = ["checkout.orders", "1.2.3"];
const FLUSH = { timeoutMillis: 90_000 };

export class Sdk {
  // `url` is the base of /v1/traces and the others. Without it the exporters read OTEL_EXPORTER_OTLP_ENDPOINT.
  constructor(url) {
    this.sent = { traces: [], logs: [], metrics: [] };
    const at = (signal) => (url ? { url: `${url}/v1/${signal}` } : {});
    const resource = resourceFromAttributes(
      { "service.name": "checkout", "service.namespace": "shop", "host.cpus": 4, "process.argv": ["serve", "--fast"] },
      { schemaUrl: "https://opentelemetry.io/schemas/1.34.0" },
    );
    const spans = this.#noting(new OTLPTraceExporter(at("traces")), JsonTraceSerializer, this.sent.traces);
    this.tracing = new TracerProvider({ resource, spanProcessors: [new BatchSpanProcessor({ exporter: spans })] });
    const logs = this.#noting(new OTLPLogExporter(at("logs")), JsonLogsSerializer, this.sent.logs);
    this.logging = new LoggerProvider({ resource, processors: [new BatchLogRecordProcessor({ exporter: logs })] });
    const exporter = this.#noting(new OTLPMetricExporter(at("metrics")), JsonMetricsSerializer, this.sent.metrics);
    this.metering = new MeterProvider({
      resource,
      views: [{ instrumentName: "*.size", aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } }],
      readers: [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })],
    });
  }

  // The exporter itself, noting what it is given: a second reader of metrics would see other times.
  #noting(exporter, serializer, sent) {
    const send = exporter.export.bind(exporter);
    exporter.export = (items, done) => {
      sent.push(JSON.parse(new TextDecoder().decode(serializer.serializeRequest(items))));
      send(items, done);
    };
    return exporter;
  }

  // One record of one signal, sent at once: resolves or rejects as the SDK's flush does.
  async sendOne(signal) {
    if (signal === "traces") this.tracing.getTracer(...SCOPE).startSpan("one").end();
    if (signal === "logs") this.logging.getLogger(...SCOPE).emit({ body: "one" });
    if (signal === "metrics") this.metering.getMeter(...SCOPE).createCounter("one").add(1);
    const provider = { traces: this.tracing, logs: this.logging, metrics: this.metering }[signal];
    await provider.forceFlush(FLUSH);
  }

  // The telemetry of a few orders, of which the last fails.
  async runShop() {
    const tracer = this.tracing.getTracer(...SCOPE);
    const logger = this.logging.getLogger(...SCOPE, { schemaUrl: "https://opentelemetry.io/schemas/1.30.0" });
    const instruments = makeInstruments(this.metering.getMeter(...SCOPE));
    for (const number of [0, 1, 2, 3]) {
      placeOrder(tracer, logger, instruments, number);
    }
    for (const body of [{ not: "a string", depth: [1, { two: 2.5 }] }, ["a", 1, true], 42, 1.5, false, new Uint8Array([0, 255])]) {
      logger.emit({ body, severityNumber: SeverityNumber.WARN, severityText: "WARN", attributes: { kind: typeof body } });
    }
    logger.emit({ eventName: "shop.closed", attributes: { till: { cash: 9.5, coins: [1, 2] } } });
    await Promise.all([this.tracing.forceFlush(), this.logging.forceFlush(), this.metering.forceFlush()]);
  }
}

function makeInstruments(meter) {
  meter
    .createObservableGauge("memory.free", { unit: "By" })
    .addCallback((result) => result.observe(2 ** 53 + 2, { pool: "größer" }));
  return {
    orders: meter.createCounter("orders", { unit: "{order}", description: "Orders taken" }),
    waiting: meter.createUpDownCounter("orders.waiting", { unit: "{order}" }),
    value: meter.createHistogram("order.value", { unit: "EUR", description: "What an order is worth" }),
    size: meter.createHistogram("order.size", { unit: "By" }),
    temperature: meter.createGauge("cpu.temperature", { unit: "Cel" }),
  };
}

function placeOrder(tracer, logger, instruments, number) {
  const order = tracer.startSpan(
    "place order",
    {
      kind: SpanKind.SERVER,
      attributes: {
        "order.number": number,
        "order.price": 9.5,
        "order.gift": number % 2 === 0,
        "order.customer": "Größe 名",
        "order.id": 2 ** 53 + 2,
        "order.items": ["book", "pen"],
        "order.weights": [1.5, 0.25],
        "order.counts": [1, 2, 3],
      },
    },
    ROOT_CONTEXT,
  );
  const context = trace.setSpan(ROOT_CONTEXT, order);
  const links = [{ context: order.spanContext(), attributes: { reason: "follows", weight: 3 } }];
  const reserve = tracer.startSpan("reserve", { kind: SpanKind.PRODUCER, links }, context);
  reserve.addEvent("reserved", { items: ["book", "pen"], left: 7 });
  reserve.setStatus({ code: SpanStatusCode.OK });
  reserve.end();
  logger.emit({
    body: `order ${number} placed`,
    severityNumber: SeverityNumber.INFO,
    severityText: "INFO",
    attributes: { "order.number": number, "order.tags": ["new", "gift"] },
    context,
  });
  instruments.orders.add(1, { gift: number % 2 === 0 });
  instruments.waiting.add(number % 2 ? -1 : 1);
  instruments.value.record(number * 12.5, { currency: "EUR" });
  instruments.size.record(number * 1000 + 0.5);
  instruments.temperature.record(40.5 + number);
  if (number === 3) {
    order.recordException(new Error("sold out: größer"));
    order.setStatus({ code: SpanStatusCode.ERROR, message: "sold out: größer" });
    logger.emit({ body: "sold out", severityNumber: SeverityNumber.ERROR, severityText: "ERROR", context });
  }
  order.end();
}
