"""Pictures and tables for the metadata of assets: aggregates only, never a text, a name or an id of a user."""

import base64
import io
from typing import Any

import dagster as dg
import polars as pl

WIDTH, HEIGHT = 420, 170


def picture(chart: Any) -> dg.MarkdownMetadataValue:
    """Return an altair chart as a PNG inside Markdown, which the UI shows in place.

    Dagster keeps it three times for every run: 25 to 54 KB with a channel of transparency, 3 to 5 KB with a palette, which holds
    each of the 50 to 80 colours of such a chart.
    """
    import vl_convert
    from PIL import Image

    png = vl_convert.vegalite_to_png(chart.properties(width=WIDTH, height=HEIGHT).to_json(), scale=1.5)
    small = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return dg.MetadataValue.md(f"![chart](data:image/png;base64,{base64.b64encode(small.getvalue()).decode()})")


def histogram(values: pl.Series, label: str, bins: int = 20) -> dg.MarkdownMetadataValue:
    """Return a histogram of values in [0, 1]."""
    import altair as alt

    counts = pl.DataFrame({"bin": (values * bins).floor().clip(0, bins - 1) / bins}).group_by("bin").len().sort("bin")
    return picture(
        alt.Chart(alt.Data(values=counts.to_dicts()))
        .mark_bar()
        .encode(
            x=alt.X("bin:Q", title=label, bin=alt.Bin(binned=True, step=1 / bins)),
            y=alt.Y("len:Q", title="interactions"),
        )
    )


def bars_by_week(frame: pl.DataFrame, value: str, colour: str | None, title: str) -> dg.MarkdownMetadataValue:
    """Return stacked bars of ``value`` per ``week``, coloured by a column."""
    import altair as alt

    encoding: dict[str, Any] = {"x": alt.X("week:O", title="week"), "y": alt.Y(f"{value}:Q", title=title)}
    if colour:
        encoding["color"] = alt.Color(f"{colour}:N", title=colour)
    return picture(alt.Chart(alt.Data(values=frame.to_dicts())).mark_bar().encode(**encoding))


def line(frame: pl.DataFrame, x: str, y: str, colour: str, title: str) -> dg.MarkdownMetadataValue:
    """Return lines of ``y`` over ``x``, one per value of ``colour``."""
    import altair as alt

    return picture(
        alt.Chart(alt.Data(values=frame.to_dicts()))
        .mark_line(point=True)
        .encode(
            x=alt.X(f"{x}:Q", title=x),
            y=alt.Y(f"{y}:Q", title=title, scale=alt.Scale(zero=False)),
            color=alt.Color(f"{colour}:N"),
        )
    )


def table(frame: pl.DataFrame, rows: int = 50) -> dg.TableMetadataValue:
    """Return a frame of aggregates as a table."""
    records = [
        dg.TableRecord({key: _plain(value) for key, value in row.items()}) for row in frame.head(rows).to_dicts()
    ]
    schema = dg.TableSchema(
        [
            dg.TableColumn(name, "float" if dtype.is_float() else "int" if dtype.is_integer() else "string")
            for name, dtype in frame.schema.items()
        ]
    )
    return dg.MetadataValue.table(records=records, schema=schema)


def _plain(value: Any) -> str | int | float | bool | None:
    if isinstance(value, float):
        return round(value, 4)
    return value if isinstance(value, str | int | bool) or value is None else str(value)
