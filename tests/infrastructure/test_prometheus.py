"""The alert rules and the Grafana dashboard: good PromQL about metrics that there are; alerts that ring."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from adbid.eyes.catalogue import ANY, METRICS
from adbid.eyes.exposition import render
from tests.support.promtool import promtool

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "ops" / "prometheus"
RULES = [
    rule for group in yaml.safe_load((FOLDER / "rules.yml").read_text())["groups"] for rule in group["rules"]
]
TESTS = yaml.safe_load((FOLDER / "rules_test.yml").read_text())["tests"]
DASHBOARD = json.loads((ROOT / "ops" / "grafana" / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
DOCUMENT = ROOT / "docs" / "observability.md"

PROMETHEUS_OWN = {"up", "ALERTS"}
WORDS = {"and", "or", "unless", "by", "on", "bool", "offset", "ignoring", "without", "group_left"}


def exposed() -> dict[str, set[str]]:
    """Every sample that GET /metrics can have, and its labels: of a system where everything is known."""
    known = [metric for metric in METRICS.values() if metric.shared]
    derived = {m.name: [(dict.fromkeys(m.labels, "x"), 1.0)] for m in known if ANY in m.labels.values()}
    derived |= {name: [({}, 1.0)] for name in ("monitor_age_seconds", "model_age_seconds")}
    gauges = {"event_lag_seconds": 1.0, "brands_under_target": 1.0, 'brands{status="paused"}': 1.0}
    found: dict[str, set[str]] = {}
    for line in render({}, gauges, derived).splitlines():
        if not line.startswith("#"):
            name, _, labels = line.rpartition(" ")[0].partition("{")
            found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """Every PromQL expression with where it is."""
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        found = re.match(r"label_values\((.*), (\w+)\)$", variable.get("definition", ""))
        if found:
            yield variable["name"], f"sum by ({found[2]}) ({found[1]})"
    for annotation in DASHBOARD["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]


def filled(expression: str) -> str:
    """With something in the place of Grafana's variables."""
    return re.sub(r"\$(__)?\w+", lambda found: "5m" if found[1] else "x", expression)


def series_of(expression: str) -> Iterator[tuple[str, set[str]]]:
    """The names in an expression that are metrics, and the labels that each is asked for."""
    bare = re.sub(r"\b(by|on|ignoring|without)\s*\([^)]*\)", " ", filled(expression))
    for name, braces in re.findall(
        r"([a-zA-Z_]\w*)\b(?!\s*\()(?:\s*\{([^}]*)\})?", re.sub(r"\[\w+\]", "", bare)
    ):
        inside = re.search(rf"[{{,][^}}]*\b{name}\s*(=|!=|=~|!~)", bare)
        if name not in WORDS and not (inside and not braces) and not re.fullmatch("e|inf|nan|x", name):
            yield name, set(re.findall(r"(\w+)\s*(?:=|!=|=~|!~)", braces))


class TestRules:
    def test_prometheus_takes_them(self) -> None:
        said = promtool("check", "rules", "rules.yml", folder=FOLDER)
        assert said.returncode == 0, said.stdout + said.stderr
        assert f"{len(RULES)} rules found" in said.stdout

    def test_they_ring_when_they_must_and_else_not(self) -> None:
        said = promtool("test", "rules", "rules_test.yml", folder=FOLDER)
        assert said.returncode == 0, said.stdout + said.stderr

    def test_the_example_of_a_configuration_is_one(self) -> None:
        said = promtool("check", "config", "--syntax-only", "prometheus.yml", folder=FOLDER)
        assert said.returncode == 0, said.stdout + said.stderr

    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
    def test_each_is_tested_both_ways(self, rule: dict[str, Any]) -> None:
        cases = [
            case for test in TESTS for case in test["alert_rule_test"] if case["alertname"] == rule["alert"]
        ]
        assert {bool(case.get("exp_alerts")) for case in cases} == {True, False}

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("brand_roas_below_target_probability >= 0.9", "brand_roas_target > 0"),
            (
                'for: 5m\n        labels: {severity: page}\n        annotations:\n          summary: "ROAS',
                'labels: {severity: page}\n        annotations:\n          summary: "ROAS',
            ),
            ("brand_roas_current < brand_roas_target", "brand_roas_current > brand_roas_target"),
            ("unless on (job, instance) monitor_age_seconds > 180", ""),
            (">= 20", ">= 0"),
            ("> 0.2\n", "> 0.6\n"),
            ('{kind!="no_revenue_data"}', ""),
            ('up{job="adbid"} == 1 unless on (job, instance) monitor_age_seconds', "vector(0) == 1"),
            ("> 3600", "> 36000"),
            ("2 * 86400", "1 * 86400"),
        ],
    )
    def test_a_wrong_rule_fails_its_test(self, tmp_path: Path, old: str, new: str) -> None:
        rules = (FOLDER / "rules.yml").read_text()
        assert rules.count(old) == 1
        (tmp_path / "rules.yml").write_text(rules.replace(old, new))
        (tmp_path / "rules_test.yml").write_text((FOLDER / "rules_test.yml").read_text())
        assert promtool("check", "rules", "rules.yml", folder=tmp_path).returncode == 0
        assert promtool("test", "rules", "rules_test.yml", folder=tmp_path).returncode == 1


class TestWhatTheyLookAt:
    def test_every_expression_is_promql(self, tmp_path: Path) -> None:
        rules = [
            {"record": f"r:{number}", "expr": filled(text)} for number, (_, text) in enumerate(expressions())
        ]
        (tmp_path / "all.yml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
        said = promtool("check", "rules", "all.yml", folder=tmp_path)
        assert said.returncode == 0, said.stderr

    def test_every_metric_and_label_is_exposed(self) -> None:
        known = exposed()
        seen = set()
        for where, expression in expressions():
            found = dict(series_of(expression))
            assert found, where
            for name, labels in found.items():
                if name not in PROMETHEUS_OWN:
                    assert name in known, f"{where}: {name}"
                    assert labels <= known[name] | {"job", "instance"}, f"{where}: {labels}"
                    seen.add(name)
        assert {"bid_requests_total", "brand_roas_current", "brand_roas_target"} <= seen

    def test_metrics_are_found_in_expressions(self) -> None:
        expression = (
            'sum by (le) (rate(a_bucket{job="$job", x!="b"}[$__rate_interval])) > 0.5 and c_total or d'
        )
        assert dict(series_of(expression)) == {"a_bucket": {"job", "x"}, "c_total": set(), "d": set()}

    def test_the_dashboard_shows_every_metric(self) -> None:
        shown = {name for panel in PANELS for one in panel["targets"] for name, _ in series_of(one["expr"])}
        bases = {re.sub("_(bucket|sum|count)$", "", name) for name in shown}
        assert bases >= {name for name, metric in METRICS.items() if metric.shared}

    def test_panels_have_ids_and_places_of_their_own(self) -> None:
        ids = [panel["id"] for panel in DASHBOARD["panels"]]
        assert len(set(ids)) == len(ids)
        taken: set[tuple[int, int]] = set()
        for panel in DASHBOARD["panels"]:
            place = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert place["x"] + place["w"] <= 24
            assert not cells & taken, panel["title"]
            taken |= cells


class TestDocument:
    def test_it_explains_every_metric_with_its_labels(self) -> None:
        rows = re.findall(r"^\| `(\w+)(?:\{([\w, ]+)\})?` \|", DOCUMENT.read_text(), re.MULTILINE)
        said = {name: set(labels.split(", ")) if labels else set() for name, labels in rows}
        metrics = {name: set(metric.labels) for name, metric in METRICS.items()}
        assert {name: labels for name, labels in said.items() if name in metrics} == metrics

    def test_it_explains_every_alert(self) -> None:
        explained = re.findall(r"^\| `([A-Z]\w+)` \|", DOCUMENT.read_text(), re.MULTILINE)
        assert sorted(explained) == sorted(rule["alert"] for rule in RULES)
