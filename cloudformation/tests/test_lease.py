"""The lease on a cluster, as the program itself takes it, against moto's DynamoDB: the conditions are evaluated by
somebody else's reading of DynamoDB. The cluster is empty, so that a run is over at once; races and the renewal in the
middle of a run are the simulator's (tests/scenarios/lease_*.toml)."""

import json
import subprocess
import time

import boto3
import pytest

from conftest import moto_server, program

REGION = "eu-west-1"
ACCESS = {"region_name": REGION, "aws_access_key_id": "testing", "aws_secret_access_key": "testing"}


@pytest.fixture
def cloud():
    with moto_server() as url:
        boto3.client("ecs", endpoint_url=url, **ACCESS).create_cluster(clusterName="web")
        dynamodb = boto3.resource("dynamodb", endpoint_url=url, **ACCESS)
        table = dynamodb.create_table(
            TableName="leases",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "lease", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "lease", "KeyType": "HASH"}],
        )
        yield url, table
        table.delete()


def run(url, table="leases"):
    ran = subprocess.run(
        [
            program("ecs-updater"),
            "run",
            "--cluster",
            "web",
            "--lease-table",
            table,
            "--output",
            "json",
            "--endpoint-url",
            url,
        ],
        env={"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": REGION},
        capture_output=True,
        text=True,
        timeout=120,
    )
    report = json.loads(ran.stdout)
    return ran.returncode, report["run"], report["clusters"][0].get("error", {})


def item(table):
    return table.get_item(Key={"lease": "web"})["Item"]


def hold(table, expires_in_s):
    expires = int((time.time() + expires_in_s) * 1000)
    table.put_item(Item={"lease": "web", "holder": "OTHER", "epoch": 41, "expires": expires, "ttl": 1})


def test_an_absent_lease_is_taken_and_given_back_and_its_epoch_grows(cloud):
    url, table = cloud
    before = int(time.time())
    code, first, error = run(url)
    assert (code, error) == (0, {})
    after_first = item(table)
    assert (after_first["holder"], after_first["expires"]) == (first, 0)
    assert before < after_first["epoch"] <= time.time() + 1
    assert after_first["ttl"] > time.time() + 80 * 86400
    _, second, _ = run(url)
    assert (item(table)["holder"], item(table)["epoch"]) == (second, after_first["epoch"] + 1)


@pytest.mark.parametrize("expires_in_s", [300, 1, -30])
def test_a_lease_that_may_be_good_by_its_holder_s_clock_is_left_alone(cloud, expires_in_s):
    url, table = cloud
    hold(table, expires_in_s)
    held = item(table)
    code, _, error = run(url)
    assert (code, error["kind"]) == (0, "another_run")
    assert "OTHER" in error["message"]
    assert item(table) == held


def test_an_expired_lease_is_taken_over(cloud):
    url, table = cloud
    hold(table, -90)
    code, us, error = run(url)
    assert (code, error) == (0, {})
    assert (item(table)["holder"], item(table)["epoch"], item(table)["expires"]) == (us, 42, 0)


def test_a_missing_table_is_named(cloud):
    url, _ = cloud
    code, _, error = run(url, "nowhere")
    assert (code, error["kind"]) == (3, "not_reachable")
    assert "no such table" in error["message"]
