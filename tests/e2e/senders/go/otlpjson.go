package main

// What the SDK gave its exporters, as OTLP/JSON. Written against the SDK's own read interfaces, not the exporters'
// encoders, which are internal to them.

import (
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"
)

type object = map[string]any

// remoteKnown is SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK: this SDK always says whether a parent is remote.
const remoteKnown = 0x100

func nanos(t time.Time) string {
	if t.IsZero() {
		return "0"
	}
	return strconv.FormatInt(t.UnixNano(), 10)
}

func valueOf(v attribute.Value) object {
	switch v.Type() {
	case attribute.BOOL:
		return object{"boolValue": v.AsBool()}
	case attribute.INT64:
		return object{"intValue": strconv.FormatInt(v.AsInt64(), 10)}
	case attribute.FLOAT64:
		return object{"doubleValue": v.AsFloat64()}
	case attribute.STRING:
		return object{"stringValue": v.AsString()}
	case attribute.BYTESLICE:
		return object{"bytesValue": base64.StdEncoding.EncodeToString(v.AsByteSlice())}
	case attribute.BOOLSLICE:
		return arrayOf(v.AsBoolSlice(), attribute.BoolValue)
	case attribute.INT64SLICE:
		return arrayOf(v.AsInt64Slice(), attribute.Int64Value)
	case attribute.FLOAT64SLICE:
		return arrayOf(v.AsFloat64Slice(), attribute.Float64Value)
	case attribute.STRINGSLICE:
		return arrayOf(v.AsStringSlice(), attribute.StringValue)
	case attribute.SLICE:
		return arrayOf(v.AsSlice(), func(item attribute.Value) attribute.Value { return item })
	case attribute.MAP:
		return object{"kvlistValue": object{"values": attributesOf(v.AsMap())}}
	}
	return object{}
}

func arrayOf[T any](items []T, value func(T) attribute.Value) object {
	values := []object{}
	for _, item := range items {
		values = append(values, valueOf(value(item)))
	}
	return object{"arrayValue": object{"values": values}}
}

func attributesOf(pairs []attribute.KeyValue) []object {
	found := []object{}
	for _, pair := range pairs {
		found = append(found, object{"key": string(pair.Key), "value": valueOf(pair.Value)})
	}
	return found
}

// request puts records into their scope and resource. Each record gets envelopes of its own, which OTLP allows.
func request(signal string, res *resource.Resource, scope instrumentation.Scope, records ...object) object {
	inside := object{
		"scope": object{
			"name": scope.Name, "version": scope.Version, "attributes": attributesOf(scope.Attributes.ToSlice()),
		},
		"schemaUrl":            scope.SchemaURL,
		recordsOf[signal].list: records,
	}
	outside := object{
		"resource":                       object{"attributes": attributesOf(res.Attributes())},
		"schemaUrl":                      res.SchemaURL(),
		"scope" + recordsOf[signal].name: []object{inside},
	}
	return object{"resource" + recordsOf[signal].name: []object{outside}}
}

var recordsOf = map[string]struct{ name, list string }{
	"traces": {"Spans", "spans"}, "logs": {"Logs", "logRecords"}, "metrics": {"Metrics", "metrics"},
}

func spanOf(span trace.ReadOnlySpan) object {
	context := span.SpanContext()
	found := object{
		"traceId": context.TraceID().String(), "spanId": context.SpanID().String(),
		"traceState": context.TraceState().String(), "flags": flagsOf(context, span.Parent()),
		"name": span.Name(), "kind": int(span.SpanKind()), "attributes": attributesOf(span.Attributes()),
		"startTimeUnixNano": nanos(span.StartTime()), "endTimeUnixNano": nanos(span.EndTime()),
		"droppedAttributesCount": span.DroppedAttributes(), "droppedEventsCount": span.DroppedEvents(),
		"droppedLinksCount": span.DroppedLinks(), "status": statusOf(span.Status()),
	}
	if span.Parent().SpanID().IsValid() {
		found["parentSpanId"] = span.Parent().SpanID().String()
	}
	events, links := []object{}, []object{}
	for _, event := range span.Events() {
		events = append(events, object{
			"name": event.Name, "timeUnixNano": nanos(event.Time), "attributes": attributesOf(event.Attributes),
			"droppedAttributesCount": event.DroppedAttributeCount,
		})
	}
	for _, link := range span.Links() {
		links = append(links, object{
			"traceId": link.SpanContext.TraceID().String(), "spanId": link.SpanContext.SpanID().String(),
			"flags": flagsOf(link.SpanContext, link.SpanContext), "attributes": attributesOf(link.Attributes),
			"droppedAttributesCount": link.DroppedAttributeCount,
		})
	}
	found["events"], found["links"] = events, links
	return found
}

func flagsOf(context, remote api.SpanContext) int {
	flags := int(context.TraceFlags()) | remoteKnown
	if remote.IsRemote() {
		flags |= 0x200
	}
	return flags
}

func statusOf(status trace.Status) object {
	// The API counts error, ok; the protocol ok, error.
	code := map[codes.Code]int{codes.Unset: 0, codes.Ok: 1, codes.Error: 2}[status.Code]
	return object{"code": code, "message": status.Description}
}

func logOf(record log.Record) object {
	found := object{
		"timeUnixNano": nanos(record.Timestamp()), "observedTimeUnixNano": nanos(record.ObservedTimestamp()),
		"severityNumber": int(record.Severity()), "severityText": record.SeverityText(),
		"eventName": record.EventName(), "flags": int(record.TraceFlags()),
		"droppedAttributesCount": record.DroppedAttributes(), "body": valueOf(record.Body()),
	}
	pairs := []attribute.KeyValue{}
	record.WalkAttributes(func(pair attribute.KeyValue) bool { pairs = append(pairs, pair); return true })
	found["attributes"] = attributesOf(pairs)
	if record.TraceID().IsValid() {
		found["traceId"], found["spanId"] = record.TraceID().String(), record.SpanID().String()
	}
	return found
}

func metricOf(metric metricdata.Metrics) object {
	found := object{"name": metric.Name, "description": metric.Description, "unit": metric.Unit}
	switch data := metric.Data.(type) {
	case metricdata.Gauge[int64]:
		found["gauge"] = object{"dataPoints": numbersOf(data.DataPoints)}
	case metricdata.Gauge[float64]:
		found["gauge"] = object{"dataPoints": numbersOf(data.DataPoints)}
	case metricdata.Sum[int64]:
		found["sum"] = sumOf(data.Temporality, data.IsMonotonic, numbersOf(data.DataPoints))
	case metricdata.Sum[float64]:
		found["sum"] = sumOf(data.Temporality, data.IsMonotonic, numbersOf(data.DataPoints))
	case metricdata.Histogram[float64]:
		points := []object{}
		for _, point := range data.DataPoints {
			one := pointOf(point.Attributes, point.StartTime, point.Time, point.Exemplars)
			bucketsOf(one, point.Count, point.Sum, point.Min, point.Max)
			one["explicitBounds"], one["bucketCounts"] = point.Bounds, countsOf(point.BucketCounts)
			points = append(points, one)
		}
		found["histogram"] = object{"aggregationTemporality": temporalityOf(data.Temporality), "dataPoints": points}
	case metricdata.ExponentialHistogram[float64]:
		points := []object{}
		for _, point := range data.DataPoints {
			one := pointOf(point.Attributes, point.StartTime, point.Time, point.Exemplars)
			bucketsOf(one, point.Count, point.Sum, point.Min, point.Max)
			one["scale"], one["zeroCount"] = point.Scale, strconv.FormatUint(point.ZeroCount, 10)
			one["zeroThreshold"] = point.ZeroThreshold
			for name, side := range map[string]metricdata.ExponentialBucket{
				"positive": point.PositiveBucket, "negative": point.NegativeBucket,
			} {
				one[name] = object{"offset": side.Offset, "bucketCounts": countsOf(side.Counts)}
			}
			points = append(points, one)
		}
		found["exponentialHistogram"] = object{
			"aggregationTemporality": temporalityOf(data.Temporality), "dataPoints": points,
		}
	}
	return found
}

func temporalityOf(temporality metricdata.Temporality) int {
	// The SDK counts cumulative, delta; the protocol delta, cumulative.
	return map[metricdata.Temporality]int{metricdata.DeltaTemporality: 1, metricdata.CumulativeTemporality: 2}[temporality]
}

func sumOf(temporality metricdata.Temporality, monotonic bool, points []object) object {
	return object{"aggregationTemporality": temporalityOf(temporality), "isMonotonic": monotonic, "dataPoints": points}
}

func numbersOf[N int64 | float64](points []metricdata.DataPoint[N]) []object {
	found := []object{}
	for _, point := range points {
		one := pointOf(point.Attributes, point.StartTime, point.Time, point.Exemplars)
		setNumber(one, point.Value)
		found = append(found, one)
	}
	return found
}

func setNumber[N int64 | float64](into object, value N) {
	switch number := any(value).(type) {
	case int64:
		into["asInt"] = strconv.FormatInt(number, 10)
	case float64:
		into["asDouble"] = number
	}
}

func pointOf[N int64 | float64](set attribute.Set, start, at time.Time, exemplars []metricdata.Exemplar[N]) object {
	kept := []object{}
	for _, exemplar := range exemplars {
		one := object{
			"timeUnixNano": nanos(exemplar.Time), "filteredAttributes": attributesOf(exemplar.FilteredAttributes),
			"traceId": hex.EncodeToString(exemplar.TraceID), "spanId": hex.EncodeToString(exemplar.SpanID),
		}
		setNumber(one, exemplar.Value)
		kept = append(kept, one)
	}
	return object{
		"attributes": attributesOf(set.ToSlice()), "exemplars": kept,
		"startTimeUnixNano": nanos(start), "timeUnixNano": nanos(at),
	}
}

func bucketsOf(into object, count uint64, sum float64, least, most metricdata.Extrema[float64]) {
	into["count"], into["sum"] = strconv.FormatUint(count, 10), sum
	if value, defined := least.Value(); defined {
		into["min"] = value
	}
	if value, defined := most.Value(); defined {
		into["max"] = value
	}
}

func countsOf(counts []uint64) []string {
	found := []string{}
	for _, count := range counts {
		found = append(found, strconv.FormatUint(count, 10))
	}
	return found
}
