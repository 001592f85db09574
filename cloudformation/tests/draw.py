#!/usr/bin/env python3
"""Draws dashboard.yaml as it would look over two made-up weeks: docs/dashboard.svg. For the eye of a person who changes it.

The metrics are searched for as CloudWatch does (docs/facts/cloudwatch.md#metrics-and-dashboards), and the columns of the log
tables are those of their queries. What CloudWatch itself draws looks different in detail.

`--check` writes nothing and fails where the picture is not what it would draw.
"""

import json
import re
import sys
from html import escape
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import generate  # noqa: E402
from resolve import resolve  # noqa: E402

PICTURE = HERE.parent.parent / "docs" / "dashboard.svg"
UNIT, ROW, GAP = 50, 34, 5
DAYS = 14
COLOURS = ["#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd", "#8c564b", "#17becf", "#bcbd22", "#e377c2"]
ALARMS = [
    ("LeftDrainingAlarm", True),
    ("FailedRunAlarm", False),
    ("NoSuccessAlarm", False),
    ("AnotherRunAlarm", False),
    ("NoProgressAlarm", False),
    ("FailedStartAlarm", False),
]
GIVEN = {
    "ClusterNames": "web,batch",
    "LeaseTableName": "ecs-updater-LeaseTable-1QX7",
    "AlarmArns": ",".join(
        f"arn:aws:cloudwatch:eu-west-1:123456789012:alarm:ecs-updater-{name}-1QX7" for name, _ in ALARMS
    ),
}

# Two weeks of a fleet of 24 and 8, a value a day: a release on the fourth day, and an instance that did not come back on the
# thirteenth. None: the metric was not written.
METRICS = {
    "web": {
        "Updated": [0, 0, 0, 6, 6, 6, 5, 0, 0, 0, 0, 0, 6, 5],
        "Outdated": [0, 0, 0, 18, 12, 6, 1, 1, 1, 1, 1, 24, 18, 13],
        "Held": [1, 1, 1, 18, 12, 6, 1, 1, 1, 1, 1, 24, 17, 12],
        "Failed": [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0],
        "OutOfService": [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1],
        "OldestDrain": [0] * 13 + [86_100],
        "DaysWithoutProgress": [0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 0, 0],
        "OldestVersionDays": [*range(41, 55)],
        "AnotherRun": [0] * 14,
        "Held_wave_not_open": [None] * 3 + [6, 3] + [None] * 6 + [24, 6, 4],
        "Held_out_of_time": [None] * 3 + [12, 9, 6] + [None] * 6 + [11, 0],
        "Held_budget_used_up": [None] * 13 + [8],
        "Held_excluded": [1, 1, 1] + [None] * 11,
        "Version_1.25.0": [24, 24, 24, 18, 12, 6, 1, 1, 1, 1, 1, 1, 1, 1],
        "Version_1.26.1": [None] * 3 + [6, 12, 18, 23, 23, 23, 23, 23, 23, 16, 11],
        "Version_1.27.0": [None] * 12 + [6, 11],
        "Held_no_room": [None] * 6 + [1] * 5 + [None] * 3,
    },
    "batch": {
        "Updated": [0, 0, 0, 2, 2, 2, 2, 0, 0, 0, 0, 0, 2, 2],
        "Outdated": [0, 0, 0, 6, 4, 2, 0, 0, 0, 0, 0, 8, 6, 4],
        "Held": [0, 0, 0, 6, 4, 2, 0, 0, 0, 0, 0, 8, 6, 4],
        "Failed": [0] * 14,
        "OutOfService": [0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0],
        "OldestDrain": [0] * 14,
        "DaysWithoutProgress": [0] * 11 + [4, 0, 0],
        "OldestVersionDays": [*range(41, 47), *range(10, 18)],
        "AnotherRun": [0] * 8 + [1] + [0] * 5,
        "Held_standalone_tasks": [None] * 3 + [6, 4, 2] + [None] * 8,
        "Held_wave_not_open": [None] * 11 + [8, 6, 4],
        "Version_1.25.0": [8, 8, 8, 6, 4, 2] + [None] * 8,
        "Version_1.26.1": [None] * 3 + [2, 4, 6, 8, 8, 8, 8, 8, 8, 6, 4],
        "Version_1.27.0": [None] * 12 + [2, 4],
    },
}
OF_THE_RUN = {"NothingUpdated": [0] * 7 + [1, 1, 1, 1, 0, 0, 0]}
LONGEST = {"OldestDrain", "DaysWithoutProgress", "OldestVersionDays"}
BACK = "back in service, updated"
LOG = [
    ("30 03:41:07", "INFO", {"cluster": "web", "instance": "i-0c4e77aa1b2c3d4e5", "state": "updated"}, BACK),
    ("30 03:40:52", "INFO", {"cluster": "web", "instance": "i-0b61f09d2c3d4e5f6", "state": "updated"}, BACK),
    ("30 03:38:20", "INFO", {"cluster": "web", "instance": "i-0c4e77aa1b2c3d4e5", "state": "rebooting"}, "rebooting"),
    ("30 03:22:31", "INFO", {"cluster": "web", "instance": "i-09d2c3d4e5f60718a", "state": "updated"}, BACK),
    ("30 03:20:04", "WARN", {"cluster": "web", "error": "ThrottlingException: Rate exceeded"}, "a call failed"),
    ("30 03:04:44", "INFO", {"cluster": "batch", "instance": "i-0a3d8812c4e5f6071", "state": "updated"}, BACK),
    (
        "29 03:58:19",
        "ERROR",
        {
            "cluster": "web",
            "instance": "i-0f1e2d3c4b5a69788",
            "state": "failed",
            "reason": "never_came_back",
            "detail": "nothing was heard from the host since its reboot; it is left DRAINING",
        },
        "failed",
    ),
    ("29 03:31:50", "INFO", {"cluster": "web", "instance": "i-07a6b5c4d3e2f1908", "state": "updated"}, BACK),
]
ENDED = [
    ("30 03:42:11", "0", "Essential container in task exited"),
    ("29 03:59:02", "1", "Essential container in task exited"),
    ("28 03:06:33", "5", "Essential container in task exited"),
]


def tokens(text):
    """The parts that a search of CloudWatch compares: at each change of the kind of character, in small letters."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", text)
    return {part.lower() for part in parts} | {re.sub(r"[^A-Za-z0-9]", "", text).lower()}


def search(expression, updater):
    """The metrics of the clusters that an expression finds, as (cluster, name)."""
    schema, terms = re.fullmatch(r"SEARCH\('\{([^}]*)\} (.*)', '(?:Maximum|Minimum|Average)'\)", expression).groups()
    assert schema == "EcsUpdater,Updater,Cluster"
    found = [(cluster, name) for cluster, names in METRICS.items() for name in names]
    for no, key, exact, partial in re.findall(r'(NOT )?(\w+)=(?:"([^"]*)"|(\S+))', terms):

        def matches(metric, key=key, exact=exact, partial=partial):
            value = {"Updater": updater, "Cluster": metric[0], "MetricName": metric[1]}[key]
            return value == exact if exact else partial.lower() in tokens(value)

        found = [metric for metric in found if matches(metric) != bool(no)]
    return found


def of_the_run(name):
    if name in OF_THE_RUN:
        return OF_THE_RUN[name]
    together = max if name in LONGEST else sum
    return [together(values) for values in zip(*(METRICS[cluster][name] for cluster in METRICS), strict=True)]


def series(properties, updater):
    """Each line of a graph: its label, its colour, its values by day."""
    drawn, hidden = [], {}
    for row in properties["metrics"]:
        given = row[-1]
        if given.get("expression", "").startswith("SEARCH"):
            for cluster, name in search(given["expression"], updater):
                label = given["label"].replace("${PROP('Dim.Cluster')}", cluster).replace("${PROP('MetricName')}", name)
                drawn.append((label, COLOURS[len(drawn) % len(COLOURS)], METRICS[cluster][name]))
        elif "expression" in given:
            metric, by = given["expression"].split(" / ")
            drawn.append((given["label"], given["color"], [value / int(by) for value in hidden[metric]]))
        else:
            assert row[:1] + row[2:4] == ["EcsUpdater", "Updater", updater]
            values = [1] * DAYS if given.get("stat") == "SampleCount" else of_the_run(row[1])
            if given.get("visible", True):
                drawn.append((given["label"], given["color"], values))
            else:
                hidden[given["id"]] = values
    return drawn


def text(x, y, content, size=12, fill="#16191f", **more):
    extra = "".join(f' {key.replace("_", "-")}="{value}"' for key, value in more.items())
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}"{extra}>{escape(content)}</text>'


def cut(content, width, size=12):
    most = int(width / (size * 0.56))
    return content if len(content) <= most else content[: most - 1] + "…"


def plain(content):
    return content.replace("*", "").replace("`", "")


def wrap(content, width, size=12):
    lines = [""]
    for word in content.split():
        if len(lines[-1]) + len(word) >= width / (size * 0.55):
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def markdown(x, y, width, source):
    out, top, code, table = [], y + 18, False, []

    def flush():
        nonlocal top
        rows = [[plain(cell.strip()) for cell in row.strip("|").split("|")] for row in table if "---" not in row]
        if rows:
            first = min(max(len(row[0]) for row in rows) * 7 + 20, width * 0.52)
            for number, row in enumerate(rows):
                weight = {"font_weight": 600} if number == 0 else {}
                for left, cell, room in ((0, row[0], first), (first, row[1], width - first)):
                    out.append(text(x + 10 + left, top, cut(cell, room - 12), **weight))
                top += 18
            table.clear()

    for line in source.split("\n"):
        if line.startswith("|"):
            table.append(line)
            continue
        flush()
        if line.startswith("```"):
            code = not code
            top += 4
        elif code:
            size = 12 if len(line) * 7 < width else 10
            for part in wrap(line, width - 20, size * 1.08):
                out.append(f'<rect x="{x + 8}" y="{top - 13}" width="{width - 16}" height="18" fill="#eef1f4"/>')
                out.append(text(x + 12, top, part, size, font_family="ui-monospace, 'DejaVu Sans Mono', monospace"))
                top += 18
        elif line.startswith("## "):
            out.append(text(x + 10, top + 4, line[3:], 17, font_weight=600))
            top += 26
        elif line:
            for part in wrap(plain(line), width - 20):
                out.append(text(x + 10, top, part))
                top += 17
        else:
            top += 6
    flush()
    return out, top - 14


def short(value):
    return f"{value:,.1f}".removesuffix(".0")


def graph(x, y, width, height, properties, drawn):
    out, right = [], properties.get("legend", {}).get("position") == "right"
    left, top = x + 44, y + 46
    wide = width - 60 - (230 if right else 0)
    lines = 0 if right else sum(len(label) * 6.2 + 26 for label, _, _ in drawn) // (width - 20) + 1
    high = height - 72 - 16 * lines
    marks = properties.get("annotations", {}).get("horizontal", [])
    sums = [sum(values[day] or 0 for _, _, values in drawn) for day in range(DAYS)]
    peak = max(sums) if properties["stacked"] else max((v or 0) for _, _, values in drawn for v in values)
    peak = max([peak, 1, *(mark["value"] for mark in marks)]) * 1.08

    def at_x(day):
        return left + wide * (day + 0.5) / DAYS

    def at_y(value):
        return top + high * (1 - value / peak)

    for part in (0, 0.5, 1):
        value = peak * part / 1.08
        out.append(f'<path d="M{left} {at_y(value):.1f}h{wide}" stroke="#e3e6ea"/>')
        out.append(text(left - 6, at_y(value) + 4, short(value), 10, "#545b64", text_anchor="end"))
    out.append(text(x + 12, top - 10, properties["yAxis"]["left"]["label"], 10, "#545b64"))
    for day in range(1, DAYS, 3):
        out.append(text(at_x(day), top + high + 14, f"11/{17 + day}", 10, "#545b64", text_anchor="middle"))
    below = [0.0] * DAYS
    for _, colour, values in drawn:
        if properties["stacked"]:
            heights = [base + (value or 0) for base, value in zip(below, values, strict=True)]
            upper = [f"{at_x(day):.1f} {at_y(value):.1f}" for day, value in enumerate(heights)]
            lower = [f"{at_x(day):.1f} {at_y(value):.1f}" for day, value in enumerate(below)][::-1]
            out.append(f'<path d="M{"L".join(upper + lower)}Z" fill="{colour}" fill-opacity=".55"/>')
            below = heights
        else:
            points = [f"{at_x(day):.1f} {at_y(v):.1f}" for day, v in enumerate(values) if v is not None]
            out.append(f'<path d="M{"L".join(points)}" fill="none" stroke="{colour}" stroke-width="2"/>')
    for mark in marks:
        level = at_y(mark["value"])
        out.append(f'<path d="M{left} {level:.1f}h{wide}" stroke="{mark["color"]}" stroke-dasharray="6 4"/>')
        if "fill" in mark:
            out.append(
                f'<rect x="{left}" y="{top}" width="{wide}" height="{level - top:.1f}" fill="{mark["color"]}" fill-opacity=".08"/>'
            )
        out.append(text(left + wide - 4, level - 4, mark["label"], 10, mark["color"], text_anchor="end"))
    along, down = (left + wide + 20, top + 8) if right else (x + 14, top + high + 34)
    for label, colour, _ in drawn:
        if not right and along > x + 14 and along + len(label) * 6.2 + 14 > x + width:
            along, down = x + 14, down + 16
        out.append(f'<rect x="{along:.1f}" y="{down - 9}" width="10" height="10" fill="{colour}"/>')
        out.append(text(along + 14, down, label, 11))
        along, down = (along, down + 18) if right else (along + len(label) * 6.2 + 26, down)
    return out


def numbers(x, y, width, drawn):
    out, each = [], width / len(drawn)
    for index, (label, colour, values) in enumerate(drawn):
        left = x + each * index + 14
        out.append(f'<rect x="{left}" y="{y + 38}" width="10" height="10" fill="{colour}"/>')
        lines = wrap(label, each - 34, 11)
        out += [text(left + 15, y + 47 + 14 * number, line, 11) for number, line in enumerate(lines)]
        out.append(text(left, y + 108, short(values[-1]), 28, font_weight=600))
    return out


def columns(query):
    """The columns of a query, each as its name and what it is made of."""
    fields = re.search(r"\| fields (.*?) \|", query)[1]
    found = []
    for part in re.findall(r"(?:[^,(]|\([^)]*\))+", fields):
        made, _, name = part.strip().partition(" as ")
        found.append((name or made, re.findall(r"[\w@.]+", made.removeprefix("coalesce"))))
    return found


def kept(query, line):
    if "level in" in query:
        return line["level"] in re.findall(r'"(\w+)"', query)
    wanted = re.findall(r"ispresent\((\w+)\)", query)
    return not wanted or any(name in line for name in wanted)


def rows(query):
    if "/aws/events/" in query:
        names = ("@timestamp", "detail.containers.0.exitCode", "detail.stoppedReason")
        lines = [dict(zip(names, row, strict=True)) | {"level": ""} for row in ENDED]
    else:
        lines = [{"@timestamp": at, "level": level, "message": said, **more} for at, level, more, said in LOG]
    made = columns(query)
    return [name for name, _ in made], [
        [next((line[part] for part in parts if part in line), "") for _, parts in made]
        for line in lines
        if kept(query, line)
    ]


def logs(x, y, width, height, query):
    out = []
    names, found = rows(query)
    wide = [min(max([len(name), *(len(row[index]) for row in found)]), 60) + 4 for index, name in enumerate(names)]
    lefts = [sum(wide[:index]) / sum(wide) * (width - 20) for index in range(len(wide))]
    out.append(f'<rect x="{x + 6}" y="{y + 32}" width="{width - 12}" height="20" fill="#f2f3f3"/>')
    for number, row in enumerate([names, *found][: int((height - 40) // 20)]):
        weight = {"font_weight": 600} if number == 0 else {}
        for index, cell in enumerate(row):
            room = ([*lefts, width - 20][index + 1] - lefts[index]) - 6
            fill = {"ERROR": "#d13212", "WARN": "#b36b00"}.get(cell, "#16191f")
            out.append(text(x + 12 + lefts[index], y + 46 + 20 * number, cut(cell, room, 11), 11, fill, **weight))
    return out


def alarms(x, y, width):
    out = []
    for index, (name, on) in enumerate(ALARMS):
        left, top = x + 12 + (index % 2) * (width / 2 - 6), y + 40 + index // 2 * 62
        fill, edge = ("#fdf3f1", "#d13212") if on else ("#f2f8f0", "#1d8102")
        out.append(
            f'<rect x="{left}" y="{top}" width="{width / 2 - 18}" height="54" rx="3" fill="{fill}" stroke="{edge}"/>'
        )
        out.append(text(left + 10, top + 22, f"ecs-updater-{name}-1QX7", 12, font_weight=600))
        out.append(text(left + 10, top + 42, "In alarm" if on else "OK", 12, edge))
    return out


def widget(one, updater):
    x, y = one["x"] * UNIT + GAP, one["y"] * ROW + GAP
    width, height = one["width"] * UNIT - 2 * GAP, one["height"] * ROW - 2 * GAP
    properties, kind = one["properties"], one["type"]
    if properties.get("background") == "transparent":
        return [text(x + 4, y + 20, properties["markdown"].removeprefix("## "), 19, font_weight=600)]
    out = [
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="4" fill="#fff" stroke="#d5dbdb"/>',
    ]
    if kind == "text":
        lines, bottom = markdown(x, y + 6, width, properties["markdown"])
        assert bottom <= y + height, f"a text is {bottom - y - height:.0f} too long: {properties['markdown'][:40]}"
        return out + lines
    out.append(text(x + 10, y + 19, cut(properties["title"], width - 16, 12.5), 13, font_weight=600))
    if kind == "alarm":
        out += alarms(x, y, width)
    elif kind == "log":
        out += logs(x, y, width, height, properties["query"])
    elif properties["view"] == "singleValue":
        out += numbers(x, y, width, series(properties, updater))
    else:
        out += graph(x, y, width, height, properties, series(properties, updater))
    return out


def body(**parameters):
    template = generate.load((HERE.parent / "dashboard.yaml").read_text())
    resources = resolve(template, GIVEN | parameters, stack="ecs-updater-dashboard")["Resources"]
    return json.loads(resources["Dashboard"]["Properties"]["DashboardBody"])


def draw(dashboard, updater="ecs-updater"):
    widgets = dashboard["widgets"]
    width = 24 * UNIT
    height = max(one["y"] + one["height"] for one in widgets) * ROW + 34
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="system-ui, \'DejaVu Sans\', sans-serif" role="img" aria-label="The dashboard, drawn with made-up values">',
        f'<rect width="{width}" height="{height}" fill="#f2f3f3"/>',
    ]
    for one in widgets:
        out += widget(one, updater)
    note = "Drawn by cloudformation/tests/draw.py from dashboard.yaml, with made-up values; CloudWatch draws it in its own style."
    out.append(text(10, height - 14, note, 12, "#545b64", font_style="italic"))
    return "\n".join([*out, "</svg>"]) + "\n"


def main():
    drawn = draw(body())
    if "--check" not in sys.argv:
        PICTURE.write_text(drawn)
    elif not PICTURE.exists() or PICTURE.read_text() != drawn:
        sys.exit(f"{PICTURE.name} is not what draw.py makes of dashboard.yaml: run it")


if __name__ == "__main__":
    main()
