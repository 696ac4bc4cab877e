"""Logs, alarms and the overview, in what AWS makes of template.yaml."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from adbid.eyes import metrics
from adbid.eyes.catalogue import METRICS
from tests.support.translation import Resource, of

ROOT = Path(__file__).resolve().parents[2]


class TestEyes:
    def test_every_log_is_kept_for_a_while(self, resources: dict[str, Resource]) -> None:
        for name, group in of(resources, "Logs::LogGroup").items():
            assert group["RetentionInDays"] == {"Ref": "LogDays"}, name

    def test_every_alarm_tells_somebody(self, resources: dict[str, Resource]) -> None:
        for name, alarm in of(resources, "CloudWatch::Alarm").items():
            assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": "AlarmTopic"}], name
            assert alarm["TreatMissingData"] in ("breaching", "notBreaching"), name

    def test_the_alarms_are_those_that_the_operations_page_explains(
        self, resources: dict[str, Resource]
    ) -> None:
        page = (ROOT / "docs/operations.md").read_text()
        explained = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
        assert sorted(explained) == sorted(of(resources, "CloudWatch::Alarm"))

    def test_silence_of_what_must_run_is_an_alarm(self, resources: dict[str, Resource]) -> None:
        alarms = of(resources, "CloudWatch::Alarm")
        silent = {name for name, alarm in alarms.items() if alarm["TreatMissingData"] == "breaching"}
        assert silent == {"MonitorSilent", "RetrainMissed"}
        for name in silent:  # CloudWatch looks back a day at most
            assert alarms[name]["Period"] * alarms[name]["EvaluationPeriods"] <= 86_400

    def test_every_function_that_is_called_has_an_alarm_for_its_errors(
        self, resources: dict[str, Resource]
    ) -> None:
        alarms = of(resources, "CloudWatch::Alarm")
        for name in of(resources, "Lambda::Function").keys() - {"MigrateFunction"}:  # the deploy says it
            alarm = alarms[name.removesuffix("Function") + "Errors"]
            assert (alarm["MetricName"], alarm["Dimensions"]) == (
                "Errors",
                [{"Name": "FunctionName", "Value": {"Ref": name}}],
            )

    def test_alarms_look_at_metrics_that_there_are(self, resources: dict[str, Resource]) -> None:
        """A metric of our own comes from a filter; what a filter looks for is written by that function."""
        made = {}
        for one in of(resources, "Logs::MetricFilter").values():
            [metric] = one["MetricTransformations"]
            made[metric["MetricName"]] = one["LogGroupName"]["Ref"].removesuffix("Logs").lower()
            assert one["FilterPattern"].startswith(f"{{ $.{metric['MetricName']}[0] >")
        for name, alarm in of(resources, "CloudWatch::Alarm").items():
            if alarm.get("Namespace") == {"Ref": "AWS::StackName"}:
                assert alarm["MetricName"] in made, name
        source = {"monitor": "roas"}
        for metric_name, service in made.items():
            files = (ROOT / "functions" / source.get(service, service)).glob("*.py")
            assert any(f'("{metric_name}"' in file.read_text() for file in files), metric_name
            assert METRICS[metric_name].cloudwatch, metric_name
            variables = resources[f"{service.title()}Function"]["Properties"]["Environment"]["Variables"]
            assert variables["POWERTOOLS_METRICS_DISABLED"] == "false"

    def test_a_filter_finds_what_a_function_writes(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("POWERTOOLS_METRICS_DISABLED", raising=False)
        monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "retrain")
        metrics.count("retrain_refused_total", reason="worse")
        line = json.loads(capsys.readouterr().out)
        assert line["retrain_refused_total"][0] > 0  # `$.retrain_refused_total[0] > 0`

    def test_the_overview_is_a_document(self, resources: dict[str, Resource]) -> None:
        [overview] = of(resources, "CloudWatch::Dashboard").values()
        text = overview["DashboardBody"]["Fn::Sub"]
        for name in re.findall(r"\$\{(\w+)\}", text):
            assert name in resources
        assert len(json.loads(text)["widgets"]) >= 6
