// The OpenTelemetry Go SDK as a sender: `shop` sends a little of everything and prints it as OTLP/JSON; `one SIGNAL`
// sends one record and says how that went. OTEL_EXPORTER_OTLP_ENDPOINT says where to.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	logapi "go.opentelemetry.io/otel/log"
	metricapi "go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"
)

const scope = "checkout.orders"

var sent = map[string][]object{"traces": {}, "logs": {}, "metrics": {}}

// The exporters themselves, each noting what it is given.

type notingSpans struct{ trace.SpanExporter }

func (e notingSpans) ExportSpans(ctx context.Context, spans []trace.ReadOnlySpan) error {
	for _, span := range spans {
		sent["traces"] = append(sent["traces"], request("traces", span.Resource(), span.InstrumentationScope(), spanOf(span)))
	}
	return e.SpanExporter.ExportSpans(ctx, spans)
}

type notingLogs struct{ log.Exporter }

func (e notingLogs) Export(ctx context.Context, records []log.Record) error {
	for _, record := range records {
		sent["logs"] = append(sent["logs"], request("logs", record.Resource(), record.InstrumentationScope(), logOf(record)))
	}
	return e.Exporter.Export(ctx, records)
}

type notingMetrics struct{ metric.Exporter }

func (e notingMetrics) Export(ctx context.Context, data *metricdata.ResourceMetrics) error {
	for _, scope := range data.ScopeMetrics {
		for _, found := range scope.Metrics {
			sent["metrics"] = append(sent["metrics"], request("metrics", data.Resource, scope.Scope, metricOf(found)))
		}
	}
	return e.Exporter.Export(ctx, data)
}

type sdk struct {
	tracing  *trace.TracerProvider
	logging  *log.LoggerProvider
	metering *metric.MeterProvider
}

func newSdk(ctx context.Context) sdk {
	place := resource.NewWithAttributes(
		"https://opentelemetry.io/schemas/1.34.0",
		attribute.String("service.name", "checkout"), attribute.String("service.namespace", "shop"),
		attribute.Int("host.cpus", 4), attribute.StringSlice("process.argv", []string{"serve", "--fast"}),
	)
	spans := must(otlptracehttp.New(ctx))
	logs := must(otlploghttp.New(ctx))
	metrics := must(otlpmetrichttp.New(ctx))
	exponential := metric.NewView(
		metric.Instrument{Name: "order.size"},
		metric.Stream{Aggregation: metric.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: 20}},
	)
	return sdk{
		trace.NewTracerProvider(trace.WithResource(place), trace.WithBatcher(notingSpans{spans})),
		log.NewLoggerProvider(log.WithResource(place), log.WithProcessor(log.NewBatchProcessor(notingLogs{logs}))),
		metric.NewMeterProvider(
			metric.WithResource(place), metric.WithReader(metric.NewPeriodicReader(notingMetrics{metrics})),
			metric.WithView(exponential),
		),
	}
}

func (s sdk) flush(ctx context.Context) error {
	return errors.Join(s.tracing.ForceFlush(ctx), s.logging.ForceFlush(ctx), s.metering.ForceFlush(ctx))
}

func (s sdk) sendOne(ctx context.Context, signal string) error {
	switch signal {
	case "traces":
		_, span := s.tracing.Tracer(scope).Start(ctx, "one")
		span.End()
		return s.tracing.ForceFlush(ctx)
	case "logs":
		record := logapi.Record{}
		record.SetBody(attribute.StringValue("one"))
		s.logging.Logger(scope).Emit(ctx, record)
		return s.logging.ForceFlush(ctx)
	}
	must(s.metering.Meter(scope).Int64Counter("one")).Add(ctx, 1)
	return s.metering.ForceFlush(ctx)
}

// runShop makes the telemetry of a few orders, of which the last fails.
func (s sdk) runShop(ctx context.Context) error {
	version, team := "1.2.3", attribute.String("team", "orders")
	schema := "https://opentelemetry.io/schemas/1.30.0"
	tracer := s.tracing.Tracer(scope, api.WithInstrumentationVersion(version), api.WithSchemaURL(schema),
		api.WithInstrumentationAttributes(team, attribute.Int("tier", 1)))
	logger := s.logging.Logger(scope, logapi.WithInstrumentationVersion(version), logapi.WithSchemaURL(schema))
	meter := s.metering.Meter(scope, metricapi.WithInstrumentationVersion(version),
		metricapi.WithInstrumentationAttributes(team))
	orders := must(meter.Int64Counter("orders", metricapi.WithUnit("{order}"), metricapi.WithDescription("Orders taken")))
	waiting := must(meter.Int64UpDownCounter("orders.waiting", metricapi.WithUnit("{order}")))
	value := must(meter.Float64Histogram("order.value", metricapi.WithUnit("EUR")))
	size := must(meter.Float64Histogram("order.size", metricapi.WithUnit("By")))
	temperature := must(meter.Float64Gauge("cpu.temperature", metricapi.WithUnit("Cel")))
	must(meter.Int64ObservableGauge("memory.free", metricapi.WithInt64Callback(
		func(_ context.Context, observer metricapi.Int64Observer) error {
			observer.Observe(math.MaxInt64, metricapi.WithAttributes(attribute.String("pool", "größer")))
			return nil
		})))
	for number := range 4 {
		inOrder, order := tracer.Start(ctx, "place order", api.WithSpanKind(api.SpanKindServer), api.WithAttributes(
			attribute.Int("order.number", number), attribute.Float64("order.price", 9.5),
			attribute.Bool("order.gift", number%2 == 0), attribute.String("order.customer", "Größe 名"),
			attribute.Int64("order.id", math.MaxInt64), attribute.Int64("order.previous", math.MinInt64),
			attribute.StringSlice("order.items", []string{"book", "pen"}), attribute.BoolSlice("order.flags", []bool{true, false}),
			attribute.Float64Slice("order.weights", []float64{1.5, 2}), attribute.Int64Slice("order.counts", []int64{1, 1 << 60}),
			attribute.ByteSlice("order.token", []byte{0, 255}),
		))
		_, reserve := tracer.Start(inOrder, "reserve", api.WithSpanKind(api.SpanKindProducer), api.WithLinks(api.Link{
			SpanContext: order.SpanContext(), Attributes: []attribute.KeyValue{attribute.String("reason", "follows")},
		}))
		reserve.AddEvent("reserved", api.WithAttributes(attribute.StringSlice("items", []string{"book", "pen"})))
		reserve.SetStatus(codes.Ok, "")
		reserve.End()
		emit(inOrder, logger, logapi.SeverityInfo, "INFO", attribute.StringValue(fmt.Sprintf("order %d placed", number)))
		orders.Add(inOrder, 1, metricapi.WithAttributes(attribute.Bool("gift", number%2 == 0)))
		waiting.Add(inOrder, int64(1-2*(number%2)))
		value.Record(inOrder, float64(number)*12.5, metricapi.WithAttributes(attribute.String("currency", "EUR")))
		size.Record(inOrder, float64(number)*1000)
		temperature.Record(inOrder, 40.5+float64(number))
		if number == 3 {
			order.RecordError(errors.New("sold out: größer"))
			order.SetStatus(codes.Error, "sold out: größer")
			emit(inOrder, logger, logapi.SeverityError, "ERROR", attribute.StringValue("sold out"))
		}
		order.End()
	}
	for _, body := range []attribute.Value{
		attribute.Int64Value(math.MaxInt64), attribute.Float64Value(1.5), attribute.BoolValue(false),
		attribute.ByteSliceValue([]byte{0, 255}), attribute.StringSliceValue([]string{"a", "b"}),
		attribute.MapValue(attribute.String("not", "a string"), attribute.Float64("two", 2)),
	} {
		emit(ctx, logger, logapi.SeverityWarn, "WARN", body)
	}
	return s.flush(ctx)
}

func emit(ctx context.Context, logger logapi.Logger, severity logapi.Severity, text string, body attribute.Value) {
	record := logapi.Record{}
	record.SetSeverity(severity)
	record.SetSeverityText(text)
	record.SetBody(body)
	record.SetEventName("shop." + text)
	record.AddAttributes(attribute.StringSlice("order.tags", []string{"new", "gift"}), attribute.Int64("big", 1<<60))
	logger.Emit(ctx, record)
}

func must[T any](made T, err error) T {
	if err != nil {
		panic(err)
	}
	return made
}

func main() {
	ctx := context.Background()
	var errs []error
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { errs = append(errs, err) }))
	s := newSdk(ctx)
	var out any = sent
	if os.Args[1] == "shop" {
		if err := errors.Join(append(errs, s.runShop(ctx))...); err != nil {
			panic(err)
		}
	} else {
		var text *string
		started := time.Now()
		err := s.sendOne(ctx, os.Args[2])
		if err = errors.Join(append(errs, err)...); err != nil {
			said := err.Error()
			text = &said
		}
		out = object{"error": text, "seconds": time.Since(started).Seconds()}
	}
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		panic(err)
	}
}
