"""The views of data points and exemplars: all five types, counts past 2^63, and values that JSON cannot carry."""

from typing import Any

from tests.sql.rows import DIMENSIONS, TRACE, T, ask, insert

NUMBER = "otel_metrics_data_points_number"
HISTOGRAM = "otel_metrics_data_points_histogram"
EXPONENTIAL = "otel_metrics_data_points_exp_histogram"
SUMMARY = "otel_metrics_data_points_summary"


def point(table: str, series: int, **columns: object) -> str:
    """The statement that inserts a point at T; `columns` beside or instead of that."""
    return insert(table, **({"series_id": series, "time_unix_nano": T} | columns))


def points(url: str, view: str, given: str) -> list[dict[str, Any]]:
    """The rows of a metrics view after `given`, by series and time."""
    return ask(url, f"SELECT * FROM {view} ORDER BY series_id, time_unix_nano", given=DIMENSIONS + given)


def test_numbers(database_url: str) -> None:
    given = (
        point(NUMBER, 1, value_double=1.5)
        + point(NUMBER, 2, value_int=2**53 + 1, start_time_unix_nano=-1, flags=-1, sent_time_unix_nano=-2)
        + point(NUMBER, 2, time_unix_nano=T + 1, flags=1)
    )
    gauge, counter, gap = points(database_url, "v_otel_metrics_number", given)
    assert (gauge["data_point_id"], gauge["metric_id"], gauge["metric_name"]) == (f"1:{T}", 1, "temperature")
    assert (gauge["unit"], gauge["metric_type"], gauge["time_unix_nano"]) == ("ms", "gauge", T)
    assert (gauge["start_time_unix_nano"], gauge["value"], gauge["value_int"]) == (None, 1.5, None)
    assert (gauge["service_name"], gauge["service_namespace"]) == ("api", "production")
    assert (gauge["attributes"], gauge["scope_name"]) == ({"method": "GET"}, "http-lib")
    assert (gauge["sent_time_unix_nano"], gauge["flags"], gauge["is_monotonic"]) == (None, 0, False)
    assert (counter["value_int"], counter["value"]) == (2**53 + 1, float(2**53))
    assert (counter["start_time_unix_nano"], counter["sent_time_unix_nano"]) == (2**64 - 1, 2**64 - 2)
    assert (counter["metric_type"], counter["aggregation_temporality"]) == ("sum", "cumulative")
    assert (counter["is_monotonic"], counter["flags"]) == (True, 2**32 - 1)
    assert (gap["value"], gap["value_int"], gap["value_double"], gap["flags"]) == (None, None, None, 1)


def test_all_five_types(database_url: str) -> None:
    """Series n is of type n; histogram bounds are 5 and Infinity, and there may be fewer counts or more."""
    given = (
        point(NUMBER, 1, value_double="NaN")
        + point(NUMBER, 2, value_int=7)
        + point(HISTOGRAM, 3, count=-1, sum=1.5, min=0, max=9, bucket_counts=[1, 2, 3])
        + point(HISTOGRAM, 3, time_unix_nano=T + 1, count=0, bucket_counts_wide=[-1])
        + point(HISTOGRAM, 3, time_unix_nano=T + 2, count=0)
        + point(
            EXPONENTIAL,
            4,
            count=10,
            zero_count=-1,
            zero_threshold=0.25,
            scale=-3,
            positive_offset=2147483647,
            positive_bucket_counts=[1, 0, 2],
        )
        + point(
            EXPONENTIAL,
            4,
            time_unix_nano=T + 1,
            count=0,
            zero_count=0,
            zero_threshold=0,
            scale=0,
            positive_offset=0,
            negative_offset=-1,
            negative_bucket_counts_wide=[-(2**63), 1],
        )
        + point(SUMMARY, 5, count=2, sum=3, quantile_values=[1, "NaN"], sent_time_unix_nano=0)
    )
    rows = points(database_url, "v_otel_metrics_enriched", given)
    types = ["gauge", "sum", *["histogram"] * 3, *["exponential_histogram"] * 2, "summary"]
    assert [row["metric_type"] for row in rows] == types
    gauge, counter, histogram, wide, bare, exponential, negative, summary = rows
    assert gauge["value"] != gauge["value"]
    assert (counter["value"], counter["value_int"]) == (7, 7)
    for row in gauge, counter:
        assert {row[name] for name in ("count", "sum", "min", "max", "buckets", "quantiles")} == {None}

    assert (histogram["value"], histogram["count"], histogram["sum"]) == (None, 2**64 - 1, 1.5)
    assert (histogram["min"], histogram["max"], histogram["quantiles"]) == (0, 9, None)
    assert histogram["buckets"] == [
        {"upper_bound": 5, "count": 1},
        {"upper_bound": "Infinity", "count": 2},
        {"upper_bound": None, "count": 3},
    ]
    assert [bucket["count"] for bucket in wide["buckets"]] == [2**64 - 1, None]
    assert [bucket["count"] for bucket in bare["buckets"]] == [None, None]

    assert exponential["buckets"] == {
        "scale": -3,
        "zero_count": 2**64 - 1,
        "zero_threshold": 0.25,
        "positive": {"offset": 2147483647, "bucket_counts": [1, 0, 2]},
        "negative": None,
    }
    assert negative["buckets"]["zero_threshold"] == 0
    assert negative["buckets"]["positive"] == {"offset": 0, "bucket_counts": []}
    assert negative["buckets"]["negative"] == {"offset": -1, "bucket_counts": [2**63, 1]}

    assert (summary["count"], summary["sum"], summary["buckets"]) == (2, 3, None)
    assert summary["quantiles"] == [{"quantile": 0.5, "value": 1}, {"quantile": 0.99, "value": "NaN"}]
    assert (summary["data_point_id"], summary["sent_time_unix_nano"]) == (f"5:{T}", 0)


def test_both_metric_views_say_the_same_of_numbers(database_url: str) -> None:
    given = point(NUMBER, 1, value_double=1.5) + point(NUMBER, 2, value_int=2, flags=-1, sent_time_unix_nano=-1)
    number = points(database_url, "v_otel_metrics_number", given)
    enriched = ask(database_url, "SELECT * FROM v_otel_metrics_enriched ORDER BY series_id")
    assert [{name: row[name] for name in number[0]} for row in enriched] == number


def test_exemplars(database_url: str) -> None:
    given = (
        point(NUMBER, 1, value_double=1)
        + point(
            "otel_exemplars",
            1,
            ordinal=0,
            exemplar_time_unix_nano=-1,
            value_int=3,
            trace_id=TRACE,
            span_id=255,
            attributes={"user": "u1"},
        )
        + point("otel_exemplars", 1, ordinal=1, exemplar_time_unix_nano=0)
    )
    statement = "SELECT * FROM v_otel_exemplars ORDER BY ordinal"
    correlated, bare = ask(database_url, statement, given=DIMENSIONS + given)
    assert (correlated["data_point_id"], correlated["metric_name"]) == (f"1:{T}", "temperature")
    assert (correlated["time_unix_nano"], correlated["exemplar_time_unix_nano"]) == (T, 2**64 - 1)
    assert (correlated["value"], correlated["value_int"], correlated["value_double"]) == (3, 3, None)
    assert (correlated["trace_id"], correlated["span_id"], correlated["span_id_hex"]) == (
        TRACE,
        *["00000000000000ff"] * 2,
    )
    assert (correlated["filtered_attributes"], correlated["attributes"]) == ({"user": "u1"}, {"method": "GET"})
    assert correlated["service_name"] == "api"
    assert (bare["value"], bare["trace_id"], bare["span_id"], bare["filtered_attributes"]) == (None, None, None, {})
