"""S3 for tests: moto's bucket behind real boto3 clients."""

from collections.abc import Iterator
from typing import Any

import pytest

from adbid.data.models import S3Files

BUCKET = "models-test"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A boto3 client; `BUCKET` exists and is empty."""
    import boto3
    from moto import mock_aws

    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        yield client


def files(client: Any) -> S3Files:
    """The product's view of the bucket."""
    return S3Files(BUCKET, client)
