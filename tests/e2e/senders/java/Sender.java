import static io.opentelemetry.api.common.AttributeKey.booleanArrayKey;
import static io.opentelemetry.api.common.AttributeKey.doubleArrayKey;
import static io.opentelemetry.api.common.AttributeKey.longArrayKey;
import static io.opentelemetry.api.common.AttributeKey.stringArrayKey;
import static io.opentelemetry.api.common.AttributeKey.stringKey;

import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.common.Value;
import io.opentelemetry.api.logs.Logger;
import io.opentelemetry.api.logs.Severity;
import io.opentelemetry.api.metrics.Meter;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.context.Context;
import io.opentelemetry.exporter.internal.marshal.Marshaler;
import io.opentelemetry.exporter.internal.otlp.logs.LogsRequestMarshaler;
import io.opentelemetry.exporter.internal.otlp.metrics.MetricsRequestMarshaler;
import io.opentelemetry.exporter.internal.otlp.traces.TraceRequestMarshaler;
import io.opentelemetry.exporter.otlp.http.logs.OtlpHttpLogRecordExporter;
import io.opentelemetry.exporter.otlp.http.metrics.OtlpHttpMetricExporter;
import io.opentelemetry.exporter.otlp.http.trace.OtlpHttpSpanExporter;
import io.opentelemetry.sdk.common.CompletableResultCode;
import io.opentelemetry.sdk.logs.SdkLoggerProvider;
import io.opentelemetry.sdk.logs.data.LogRecordData;
import io.opentelemetry.sdk.logs.export.BatchLogRecordProcessor;
import io.opentelemetry.sdk.logs.export.LogRecordExporter;
import io.opentelemetry.sdk.metrics.Aggregation;
import io.opentelemetry.sdk.metrics.InstrumentSelector;
import io.opentelemetry.sdk.metrics.InstrumentType;
import io.opentelemetry.sdk.metrics.SdkMeterProvider;
import io.opentelemetry.sdk.metrics.View;
import io.opentelemetry.sdk.metrics.data.AggregationTemporality;
import io.opentelemetry.sdk.metrics.data.MetricData;
import io.opentelemetry.sdk.metrics.export.MetricExporter;
import io.opentelemetry.sdk.metrics.export.PeriodicMetricReader;
import io.opentelemetry.sdk.resources.Resource;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.data.SpanData;
import io.opentelemetry.sdk.trace.export.BatchSpanProcessor;
import io.opentelemetry.sdk.trace.export.SpanExporter;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * The OpenTelemetry Java SDK as a sender: {@code shop} sends a little of everything and prints it as OTLP/JSON;
 * {@code one SIGNAL} sends one record and says how that went. OTEL_EXPORTER_OTLP_ENDPOINT says where to: it is read
 * here, as the SDK reads it by its autoconfiguration only.
 */
public final class Sender {
    private static final String SCOPE = "checkout.orders";
    private static final String SCHEMA = "https://opentelemetry.io/schemas/1.30.0";

    private final List<String> traces = new ArrayList<>();
    private final List<String> logs = new ArrayList<>();
    private final List<String> metrics = new ArrayList<>();
    private final SdkTracerProvider tracing;
    private final SdkLoggerProvider logging;
    private final SdkMeterProvider metering;

    private Sender(String url) {
        Resource resource = Resource.create(
                Attributes.builder()
                        .put("service.name", "checkout")
                        .put("service.namespace", "shop")
                        .put("host.cpus", 4)
                        .put("process.argv", "serve", "--fast")
                        .build(),
                "https://opentelemetry.io/schemas/1.34.0");
        SpanExporter spans = OtlpHttpSpanExporter.builder().setEndpoint(url + "/v1/traces").build();
        LogRecordExporter records = OtlpHttpLogRecordExporter.builder().setEndpoint(url + "/v1/logs").build();
        MetricExporter points = OtlpHttpMetricExporter.builder().setEndpoint(url + "/v1/metrics").build();
        tracing = SdkTracerProvider.builder()
                .setResource(resource)
                .addSpanProcessor(BatchSpanProcessor.builder(new NotingSpans(spans)).build())
                .build();
        logging = SdkLoggerProvider.builder()
                .setResource(resource)
                .addLogRecordProcessor(BatchLogRecordProcessor.builder(new NotingLogs(records)).build())
                .build();
        metering = SdkMeterProvider.builder()
                .setResource(resource)
                .registerMetricReader(PeriodicMetricReader.create(new NotingMetrics(points)))
                .registerView(
                        InstrumentSelector.builder().setName("order.size").build(),
                        View.builder().setAggregation(Aggregation.base2ExponentialBucketHistogram()).build())
                .build();
    }

    private static String json(Marshaler request) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try {
            request.writeJsonTo(out);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return out.toString(StandardCharsets.UTF_8);
    }

    /** The exporter itself, noting what it is given. */
    private final class NotingSpans implements SpanExporter {
        private final SpanExporter exporter;

        NotingSpans(SpanExporter exporter) {
            this.exporter = exporter;
        }

        @Override
        public CompletableResultCode export(Collection<SpanData> given) {
            traces.add(json(TraceRequestMarshaler.create(given)));
            return exporter.export(given);
        }

        @Override
        public CompletableResultCode flush() {
            return exporter.flush();
        }

        @Override
        public CompletableResultCode shutdown() {
            return exporter.shutdown();
        }
    }

    private final class NotingLogs implements LogRecordExporter {
        private final LogRecordExporter exporter;

        NotingLogs(LogRecordExporter exporter) {
            this.exporter = exporter;
        }

        @Override
        public CompletableResultCode export(Collection<LogRecordData> given) {
            logs.add(json(LogsRequestMarshaler.create(given)));
            return exporter.export(given);
        }

        @Override
        public CompletableResultCode flush() {
            return exporter.flush();
        }

        @Override
        public CompletableResultCode shutdown() {
            return exporter.shutdown();
        }
    }

    private final class NotingMetrics implements MetricExporter {
        private final MetricExporter exporter;

        NotingMetrics(MetricExporter exporter) {
            this.exporter = exporter;
        }

        @Override
        public CompletableResultCode export(Collection<MetricData> given) {
            metrics.add(json(MetricsRequestMarshaler.create(given)));
            return exporter.export(given);
        }

        @Override
        public AggregationTemporality getAggregationTemporality(InstrumentType type) {
            return exporter.getAggregationTemporality(type);
        }

        @Override
        public CompletableResultCode flush() {
            return exporter.flush();
        }

        @Override
        public CompletableResultCode shutdown() {
            return exporter.shutdown();
        }
    }

    private CompletableResultCode sendOne(String signal) {
        if (signal.equals("traces")) {
            tracing.get(SCOPE).spanBuilder("one").startSpan().end();
            return tracing.forceFlush();
        }
        if (signal.equals("logs")) {
            logging.get(SCOPE).logRecordBuilder().setBody("one").emit();
            return logging.forceFlush();
        }
        metering.get(SCOPE).counterBuilder("one").build().add(1);
        return metering.forceFlush();
    }

    /** The telemetry of a few orders, of which the last fails. */
    private CompletableResultCode runShop() {
        Tracer tracer = tracing.tracerBuilder(SCOPE).setInstrumentationVersion("1.2.3").setSchemaUrl(SCHEMA).build();
        Logger logger = logging.loggerBuilder(SCOPE).setInstrumentationVersion("1.2.3").setSchemaUrl(SCHEMA).build();
        Meter meter = metering.meterBuilder(SCOPE).setInstrumentationVersion("1.2.3").build();
        var orders = meter.counterBuilder("orders").setUnit("{order}").setDescription("Orders taken").build();
        var waiting = meter.upDownCounterBuilder("orders.waiting").setUnit("{order}").build();
        var value = meter.histogramBuilder("order.value").setUnit("EUR").build();
        var size = meter.histogramBuilder("order.size").setUnit("By").build();
        var temperature = meter.gaugeBuilder("cpu.temperature").setUnit("Cel").build();
        meter.gaugeBuilder("memory.free").ofLongs().buildWithCallback(
                found -> found.record(Long.MAX_VALUE, Attributes.of(stringKey("pool"), "größer")));
        for (int number = 0; number < 4; number++) {
            Span order = tracer.spanBuilder("place order")
                    .setSpanKind(SpanKind.SERVER)
                    .setAttribute("order.number", number)
                    .setAttribute("order.price", 9.5)
                    .setAttribute("order.gift", number % 2 == 0)
                    .setAttribute("order.customer", "Größe 名")
                    .setAttribute("order.id", Long.MAX_VALUE)
                    .setAttribute("order.previous", Long.MIN_VALUE)
                    .setAttribute(stringArrayKey("order.items"), List.of("book", "pen"))
                    .setAttribute(booleanArrayKey("order.flags"), List.of(true, false))
                    .setAttribute(doubleArrayKey("order.weights"), List.of(1.5, 2.0))
                    .setAttribute(longArrayKey("order.counts"), List.of(1L, 1L << 60))
                    .startSpan();
            Context inOrder = Context.root().with(order);
            Span reserve = tracer.spanBuilder("reserve")
                    .setParent(inOrder)
                    .setSpanKind(SpanKind.PRODUCER)
                    .addLink(order.getSpanContext(), Attributes.of(stringKey("reason"), "follows"))
                    .startSpan();
            reserve.addEvent("reserved", Attributes.of(stringArrayKey("items"), List.of("book", "pen")));
            reserve.setStatus(StatusCode.OK);
            reserve.end();
            logger.logRecordBuilder()
                    .setContext(inOrder)
                    .setTimestamp(System.currentTimeMillis(), TimeUnit.MILLISECONDS)
                    .setSeverity(Severity.INFO)
                    .setSeverityText("INFO")
                    .setBody("order " + number + " placed")
                    .setAttribute("big", 1L << 60)
                    .setAttribute(stringArrayKey("order.tags"), List.of("new", "gift"))
                    .emit();
            orders.add(1, Attributes.builder().put("gift", number % 2 == 0).build(), inOrder);
            waiting.add(number % 2 == 0 ? 1 : -1, Attributes.empty(), inOrder);
            value.record(number * 12.5, Attributes.of(stringKey("currency"), "EUR"), inOrder);
            size.record(number * 1000, Attributes.empty(), inOrder);
            temperature.set(40.5 + number);
            if (number == 3) {
                order.recordException(new IllegalStateException("sold out: größer"));
                order.setStatus(StatusCode.ERROR, "sold out: größer");
                logger.logRecordBuilder().setContext(inOrder).setSeverity(Severity.ERROR).setSeverityText("ERROR")
                        .setBody("sold out").setEventName("shop.sold_out").emit();
            }
            order.end();
        }
        List<Value<?>> bodies = List.of(
                Value.of(Long.MAX_VALUE), Value.of(1.5), Value.of(false), Value.of(new byte[] {0, -1}),
                Value.of(Value.of("a"), Value.of(1)),
                Value.of(java.util.Map.of("not", Value.of("a string"), "depth", Value.of(Value.of(2.0)))));
        for (Value<?> body : bodies) {
            logger.logRecordBuilder().setContext(Context.root()).setSeverity(Severity.WARN).setBody(body).emit();
        }
        return CompletableResultCode.ofAll(
                List.of(tracing.forceFlush(), logging.forceFlush(), metering.forceFlush()));
    }

    public static void main(String[] arguments) {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        Sender sender = new Sender(System.getenv("OTEL_EXPORTER_OTLP_ENDPOINT"));
        boolean shop = arguments[0].equals("shop");
        long started = System.nanoTime();
        CompletableResultCode result = shop ? sender.runShop() : sender.sendOne(arguments[1]);
        result.join(90, TimeUnit.SECONDS);
        if (shop) {
            out.printf("{\"traces\":%s,\"logs\":%s,\"metrics\":%s}%n", sender.traces, sender.logs, sender.metrics);
        } else {
            String error = result.isSuccess() ? "null" : "\"failed\"";
            out.println("{\"error\":" + error + ",\"seconds\":" + (System.nanoTime() - started) / 1e9 + "}");
        }
        System.exit(shop && !result.isSuccess() ? 1 : 0);
    }
}
