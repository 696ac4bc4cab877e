"""What a deploy may choose: template.yaml's parameters, and samconfig.toml's values for each stage."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from local.template import load_template

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = load_template(ROOT / "template.yaml")


class TestParameters:
    def test_each_says_what_it_is_and_what_it_takes(self) -> None:
        limits = {"AllowedValues", "AllowedPattern", "MinValue", "MinLength"}
        for name, parameter in TEMPLATE["Parameters"].items():
            assert parameter["Description"], name
            free = parameter["Type"] == "CommaDelimitedList" or name == "DatabaseSnapshot"
            assert free or limits & parameter.keys(), name

    def test_each_has_a_default_that_it_takes(self) -> None:
        for name, parameter in TEMPLATE["Parameters"].items():
            default = parameter["Default"]
            assert default in parameter.get("AllowedValues", [default]), name
            assert re.search(parameter.get("AllowedPattern", ""), str(default)), name
            if parameter["Type"] == "Number":
                most = parameter.get("MaxValue", default)
                assert parameter.get("MinValue", default) <= default <= most, name

    def test_each_is_in_one_group(self) -> None:
        groups = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
        grouped = [name for group in groups for name in group["Parameters"]]
        assert sorted(grouped) == sorted(TEMPLATE["Parameters"])


class TestSamconfig:
    CONFIG = tomllib.loads((ROOT / "samconfig.toml").read_text())

    @pytest.mark.parametrize("stage", ["dev", "stage", "prod"])
    def test_knows_every_stage(self, stage: str) -> None:
        parameters = self.CONFIG[stage]["deploy"]["parameters"]
        overrides = dict(item.split("=", 1) for item in parameters["parameter_overrides"])
        assert overrides["Stage"] == stage
        for name, value in overrides.items():
            parameter = TEMPLATE["Parameters"][name]
            assert value in map(str, parameter.get("AllowedValues", [value])), name
            assert re.search(parameter.get("AllowedPattern", ""), value), name
        assert parameters["stack_name"] == f"adbid-{stage}"
        assert f"Stage={stage}" in parameters["tags"]
        assert parameters["confirm_changeset"] is (stage != "dev")

    def test_dev_is_the_default(self) -> None:
        assert self.CONFIG["default"]["deploy"] == self.CONFIG["dev"]["deploy"]

    def test_a_cache_of_sams_would_miss_changes(self) -> None:
        assert self.CONFIG["default"]["build"]["parameters"] == {"cached": False, "parallel": False}
