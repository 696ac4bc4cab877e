"""What is kept and how it is reached, in what AWS makes of template.yaml."""

from __future__ import annotations

import json
import re
from typing import Any

from local.dashboard import HEADERS
from tests.support.translation import Resource, of


class TestEncryption:
    def test_buckets_are_closed_encrypted_and_versioned(self, resources: dict[str, Resource]) -> None:
        policies = {one["Bucket"]["Ref"]: one for one in of(resources, "S3::BucketPolicy").values()}
        for name, bucket in of(resources, "S3::Bucket").items():
            assert bucket["BucketEncryption"]
            assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
            assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
            assert bucket["LifecycleConfiguration"]["Rules"]
            [deny] = [one for one in policies[name]["PolicyDocument"]["Statement"] if one["Effect"] == "Deny"]
            assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}

    def test_the_models_stay(self, resources: dict[str, Resource]) -> None:
        assert resources["ModelsBucket"]["UpdateReplacePolicy"] == "Retain"
        rules = resources["ModelsBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
        assert not [rule for rule in rules if "ExpirationInDays" in rule]  # the one that serves may be old

    def test_the_database(self, resources: dict[str, Resource]) -> None:
        [database] = of(resources, "RDS::DBCluster").values()
        assert database["StorageEncrypted"] is True
        assert database["ManageMasterUserPassword"] is True
        assert "MasterUserPassword" not in database
        assert resources["Database"]["DeletionPolicy"] == "Snapshot"
        [settings] = of(resources, "RDS::DBClusterParameterGroup").values()
        assert settings["Parameters"]["require_secure_transport"] == "ON"
        [proxy] = of(resources, "RDS::DBProxy").values()
        assert proxy["RequireTLS"] is True
        for instance in of(resources, "RDS::DBInstance").values():
            assert instance["PubliclyAccessible"] is False

    def test_the_cache_is_encrypted_asks_for_a_password_and_drops_nothing(
        self, resources: dict[str, Resource]
    ) -> None:
        groups = of(resources, "ElastiCache::ReplicationGroup")
        assert {group["ClusterMode"] for group in groups.values()} == {"disabled", "enabled"}
        assert groups["Cache"]["ClusterMode"] == "disabled"
        for group in groups.values():
            assert group["AtRestEncryptionEnabled"] is group["TransitEncryptionEnabled"] is True
            assert "resolve:secretsmanager" in json.dumps(group["AuthToken"])
            settings = resources[group["CacheParameterGroupName"]["Ref"]]["Properties"]["Properties"]
            assert settings["maxmemory-policy"] == "noeviction"

    def test_queues_and_alarms(self, resources: dict[str, Resource]) -> None:
        assert all(queue["SqsManagedSseEnabled"] for queue in of(resources, "SQS::Queue").values())
        assert all(topic["KmsMasterKeyId"] for topic in of(resources, "SNS::Topic").values())
        assert all(key["EnableKeyRotation"] for key in of(resources, "KMS::Key").values())

    def test_urls_speak_tls_and_name_no_password(self, resources: dict[str, Resource]) -> None:
        for name in ("RedisUrl", "LedgerUrl"):
            urls = re.findall(r"redis[^\"]*://[^\"]*", json.dumps(resources[name]["Properties"]["Value"]))
            assert urls
            assert all(re.fullmatch(r"rediss://\$\{[\w.]+\}:\$\{[\w.]+\}/0", url) for url in urls)
        assert (
            resources["DatabaseUrl"]["Properties"]["Value"]["Fn::Sub"][0]
            == "mysql+pymysql://${Host}:3306/adbid"
        )

    def test_no_secret_is_a_parameter_or_an_output(self, template: dict[str, Any]) -> None:
        assert "NoEcho" not in json.dumps(template["Parameters"])
        assert "ecret" not in json.dumps(template["Outputs"])

    def test_only_the_proxy_gets_at_the_database(self, resources: dict[str, Resource]) -> None:
        groups = of(resources, "EC2::SecurityGroup")
        for name, group in groups.items():
            for rule in group.get("SecurityGroupIngress", []):
                assert "CidrIp" not in rule, name
        [rule] = groups["DatabaseGroup"]["SecurityGroupIngress"]
        assert rule["SourceSecurityGroupId"] == {"Fn::GetAtt": ["ProxyGroup", "GroupId"]}


class TestSite:
    def test_is_off_unless_asked_for(self, template: dict[str, Any], resources: dict[str, Resource]) -> None:
        assert template["Parameters"]["DashboardSite"]["Default"] == "no"
        of_the_site = [name for name in resources if name.startswith("Site")]
        assert len(of_the_site) == 5
        assert all(resources[name]["Condition"] == "Site" for name in of_the_site)

    def test_only_cloudfront_reads_the_pages(self, resources: dict[str, Resource]) -> None:
        [allow] = [
            one
            for one in resources["SiteForCloudFront"]["Properties"]["PolicyDocument"]["Statement"]
            if one["Effect"] == "Allow"
        ]
        assert allow["Principal"] == {"Service": "cloudfront.amazonaws.com"}
        assert "aws:SourceArn" in allow["Condition"]["StringEquals"]

    def test_pages_have_the_local_runs_headers(self, resources: dict[str, Resource]) -> None:
        config = resources["SiteHeaders"]["Properties"]["ResponseHeadersPolicyConfig"]
        security = config["SecurityHeadersConfig"]
        assert (
            security["ContentSecurityPolicy"]["ContentSecurityPolicy"] == HEADERS["content-security-policy"]
        )
        assert security["ReferrerPolicy"]["ReferrerPolicy"] == HEADERS["referrer-policy"]
        assert security["ContentTypeOptions"]["Override"] is True
        custom = {one["Header"]: one["Value"] for one in config["CustomHeadersConfig"]["Items"]}
        assert custom.keys() | {"content-security-policy", "referrer-policy", "x-content-type-options"} == {
            *HEADERS
        }
        assert custom.items() <= HEADERS.items()

    def test_the_api_is_under_the_same_host_and_never_cached(self, resources: dict[str, Resource]) -> None:
        config = resources["SiteDistribution"]["Properties"]["DistributionConfig"]
        assert {api["PathPattern"] for api in config["CacheBehaviors"]} == {"/api/*", "/healthz"}
        for api in config["CacheBehaviors"]:
            assert api["TargetOriginId"] == "api"
            assert api["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"  # CachingDisabled
        assert "CustomErrorResponses" not in config  # they would change the API's answers too
