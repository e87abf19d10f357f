"""What time series say of themselves to the registry: names and places only, nothing is imported here."""

from __future__ import annotations

from domains import Domain

DOMAIN = Domain(
    name="time_series",
    summary="series with covariates and gaps (CSV, Parquet, .tsf, NumPy, Zarr), patches of values, bins or digits",
    natural_unit="step",
    tokenizers={
        "ts_patch": "domains.time_series.tokenizer:PatchTokenizer",
        "ts_flatten": "domains.time_series.tokenizer:FlattenTokenizer",
        "ts_bins": "domains.time_series.tokenizer:BinsTokenizer",
        "ts_digits": "domains.time_series.tokenizer:DigitsTokenizer",
    },
    default_tokenizer="ts_patch",
    source="domains.time_series.source:open_source",
    writer="domains.time_series.source:write_samples",
    suffix=".csv",
    data_module="domains.time_series.data:open_data",
    evaluation="domains.time_series.evaluation:evaluate",
    figures="domains.time_series.figures",
    forecast="domains.time_series.forecast:forecast",
    values_row="domains.time_series.source.rows:series_row",
    keys={
        "data": "domains.time_series.source.config:SourceConfig",
        "evaluation": "domains.time_series.evaluation:EvaluationConfig",
    },
    datasets={
        "hourly3": "electricity, Beijing's temperature and Bay Area traffic, the set that models are compared on",
        "hourly_more": "15 hourly series without covariates, to be mixed in when a model of hourly3 is trained",
        "electricity": "load of a Portuguese client, 26,304 hours",
        "beijing_pm": "air and weather of Beijing, 43,824 hours of 7 series, with missing values",
        "beijing_temp": "temperature of Beijing, 43,824 hours",
        "sf_traffic": "occupancy of a road in the Bay Area, 17,544 hours",
        "bike": "bicycles hired in Washington D.C., 78,421 hours, with the day's weather",
        "household_power": "power of one house, 2,075,259 minutes of 7 series, with missing values",
        "traffic_volume": "cars on the I-94: hours that stand twice, hours that are missing",
        "us_employment": "people employed in the USA by industry, 148 monthly series",
        "elecdemand": "electricity demand of Victoria, 17,520 half hours, with temperature and working days",
        "weather": "weather at New York City's airports, 26,115 hours of three stations",
        "m1_yearly": "the 181 yearly series of the M1 competition",
    },
    example="foretell prepare domain=time_series data.path=series.csv store=series.zarr",
)
