from __future__ import annotations

import math
from xml.etree import ElementTree as ET

from stream.insight.plot import line_chart


def test_a_chart_is_well_formed_and_names_its_lines() -> None:
    svg = line_chart(
        {"a <b>": [(0, 0.1), (5, math.nan), (10, 0.9)], "flat": [(0, 0.5), (10, 0.5)], "none": []},
        "T & t",
        "x",
        "y",
    )
    root = ET.fromstring(svg)
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert {"a <b>", "flat", "none", "T & t", "x", "y"} <= set(texts)
    lines = [e.get("points", "") for e in root.iter() if e.tag.endswith("polyline")]
    assert [len(points.split()) for points in lines] == [2, 2, 0]


def test_nothing_to_draw_is_still_a_chart() -> None:
    ET.fromstring(line_chart({}, "t", "x", "y"))
    ET.fromstring(line_chart({"one": [(3, 3)]}, "t", "x", "y"))
