"""What operators are given is true: dashboards and alerts ask for metrics that exist, documents name tests that exist, manifests fit."""

import importlib.util
import inspect
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from rightseat.commands.root import cli
from rightseat.gateway.config import FROM_ENVIRONMENT
from rightseat.gateway.routes import ROUTES

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
OPERATIONS = ROOT / "docs" / "operations"
ALERTS = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"][0]["rules"]
NAME = re.compile(r"\brightseat_[a-z_]+")


@pytest.fixture(scope="module")
def metric_names():
    """Every series of a gateway that has been used."""
    from rightseat.gateway.observe.metrics import Metrics

    class Nobody:
        def accounts(self):
            return []

        def shown(self):
            return {"circuits": {}, "running": 0, "waiting": 0}

    families = Metrics(Nobody(), Nobody(), {}, bool).registry.collect()
    names = set()
    for family in families:
        base = family.name
        names |= {base, f"{base}_total", f"{base}_bucket", f"{base}_sum", f"{base}_count"}
    return names


def test_alerts_and_dashboards_ask_for_metrics_that_exist(metric_names):
    board = json.loads((DEPLOY / "grafana" / "rightseat.json").read_text())
    asked = {expr for rule in ALERTS for expr in NAME.findall(rule["expr"])}
    asked |= {name for panel in board["panels"] for target in panel["targets"] for name in NAME.findall(target["expr"])}
    assert len(asked) >= 15
    assert asked <= metric_names
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids)) == 15


def test_every_alert_has_its_place_in_the_runbook():
    heads = {
        line[3:].strip().lower()
        for line in (OPERATIONS / "runbook.md").read_text().splitlines()
        if line.startswith("## ")
    }
    for rule in ALERTS:
        assert rule["annotations"]["runbook"] == f"docs/operations/runbook.md#{rule['alert'].lower()}"
        assert rule["alert"].lower() in heads
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_alerts_fire_when_they_should_and_not_before():
    promtool = shutil.which("promtool")
    if promtool is None:
        tests = yaml.safe_load((DEPLOY / "prometheus" / "alerts_test.yml").read_text())["tests"][0]["alert_rule_test"]
        assert {one["alertname"] for one in tests} <= {rule["alert"] for rule in ALERTS}
        return  # promtool is where Prometheus is
    for arguments in (
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts_test.yml"],
        ["check", "config", "--syntax-only", "prometheus.yml"],
    ):
        done = subprocess.run(
            [promtool, *arguments], cwd=DEPLOY / "prometheus", capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_images_of_others_are_pinned_by_digest():
    spec = importlib.util.spec_from_file_location("images", ROOT / "scripts" / "images.py")
    images = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(images)
    assert images.unpinned() == []
    assert {use["name"] for _, use in images.uses()} == {"python", "prom/prometheus", "grafana/grafana"}
    for line in (
        "FROM python:3.12-slim",
        "FROM python",
        f"FROM python@sha256:{'0' * 64} AS x",
        "    image: prom/prometheus:v3.5.0",
    ):
        use = images.USE.search(line)
        assert not (use["tag"] and use["digest"])


def test_no_secret_is_written_as_an_argument():
    """Neither in what operators start from nor in what they read."""
    for path in [*DEPLOY.rglob("*"), *(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]:
        if path.is_file():
            given = re.findall(r"rightseat \S+ [^\n]*--(?:key|api-key)[ =](?!-|any\b)\S+", path.read_text())
            assert given == [], path


def variables(text):
    return set(re.findall(r"\bRIGHTSEAT_([A-Z_]+?)(?:_FILE)?(?==|:|,|\b[^A-Z_])", text))


def test_manifests_name_paths_commands_and_settings_that_exist():
    known = {name.upper() for name in FROM_ENVIRONMENT} | {"HOME", "KEYRING", "KEY_PEPPER"}
    for path in [
        *DEPLOY.rglob("*.yml"),
        *DEPLOY.rglob("*.yaml"),
        *DEPLOY.rglob("Dockerfile"),
        *DEPLOY.rglob("*.service"),
    ]:
        text = path.read_text()
        assert variables(text) <= known, path
        for command in re.findall(r"\brightseat (serve|login|keys|doctor|[a-z]+) ", text):
            if command in ("keys", "login", "serve", "doctor"):
                assert CliRunner().invoke(cli, [command, "--help"]).exit_code == 0
    served = {route.path for route in ROUTES}
    documents = [d for d in yaml.safe_load_all((DEPLOY / "kubernetes" / "rightseat.yaml").read_text()) if d]
    assert [d["kind"] for d in documents] == ["StatefulSet", "Service", "NetworkPolicy"]
    (container,) = documents[0]["spec"]["template"]["spec"]["containers"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["path"] in served
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    compose = yaml.safe_load((DEPLOY / "docker" / "compose.yml").read_text())
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or source.endswith("-key") or (DEPLOY / "docker" / source).exists(), (
                volume
            )
    docker = (DEPLOY / "docker" / "Dockerfile").read_text()
    for copied in re.findall(r"^COPY ([^-].*)$", docker, re.MULTILINE):
        assert all((ROOT / one).exists() for one in copied.split()[:-1])
    assert "/healthz" in docker


def test_the_unit_is_one(tmp_path):
    text = (DEPLOY / "systemd" / "rightseat.service").read_text()
    sections = re.findall(r"^\[(\w+)\]$", text, re.MULTILINE)
    assert sections == ["Unit", "Service", "Install"]
    assert all("=" in line for line in text.splitlines() if line and not line.startswith(("#", "[")))
    drain = int(re.search(r"TimeoutStopSec=(\d+)", text)[1])
    assert drain > 30 + 5  # the settings' drain_seconds, and the supervisor's patience


def test_every_named_test_exists():
    text = (OPERATIONS / "security.md").read_text() + (OPERATIONS / "capacity.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)((?:::\w+)*)`", text)
    assert len(named) >= 40
    for path, inner in named:
        source = (ROOT / path).read_text(encoding="utf-8")
        for part in inner.split("::")[1:]:
            assert re.search(rf"(?:def|class) {part}\b", source), f"{path}{inner}"


def test_the_figures_of_screening_are_those_of_the_test():
    from tests.security import test_screening

    for split in ("dev", "held"):
        recall, precision = test_screening.measured(split)
        assert f"{recall:.2f} and" in (OPERATIONS / "security.md").read_text()
        assert f"{precision:.2f}" in (OPERATIONS / "security.md").read_text()


def test_who_is_called_for_an_alert_is_what_the_alert_says():
    text = (OPERATIONS / "on-call.md").read_text()
    for severity in ("page", "ticket"):
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{severity}` |")]
        named = {name.strip() for name in row.split("|")[2].split(",")}
        assert named == {rule["alert"] for rule in ALERTS if rule["labels"]["severity"] == severity}


def test_every_field_of_the_log_is_documented():
    from rightseat.gateway.observe.request_log import RequestRecord

    source = inspect.getsource(RequestRecord.shown)
    fields = set(re.findall(r'^ +"(\w+)":', source, re.MULTILINE)) | {"level", "logger", "event"}
    text = (OPERATIONS / "logs.md").read_text().partition("## Fields of a request")[2].partition("##")[0]
    documented = {
        name
        for line in text.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert documented == fields
