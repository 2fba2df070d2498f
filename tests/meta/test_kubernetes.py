"""The manifests of deploy/kubernetes: valid by the schemas of Kubernetes, and true of this code.

`kustomize` is in no package registry, so `build` resolves what it would, and no more than these files use.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from django.core.management import get_commands
from django.urls import resolve

BASE_DIR = Path(__file__).resolve().parent.parent.parent
ROOT = BASE_DIR / "deploy" / "kubernetes"
PRODUCTION = ROOT / "overlays" / "production"
OF_OTHERS = {"ScaledObject", "TriggerAuthentication"}  # of KEDA, whose schemas no package holds
# Read by boto3, KEDA, Ray and the system, not by our settings.
NOT_OURS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "REDIS_PASSWORD", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"}
NOT_OURS |= {"HOME", "PYTHONPATH"}
Resource = dict[str, Any]


def documents(path: Path) -> list[Resource]:
    return list(yaml.safe_load_all(path.read_text()))


def kustomization(folder: Path) -> Resource:
    return documents(folder / "kustomization.yaml")[0]


def build(folder: Path) -> list[Resource]:
    """What `kustomize build` makes of a folder: resources, then its components and patches; images keep their names."""
    given, found = kustomization(folder), list[Resource]()
    for name in given.get("resources", []):
        path = folder / name
        found += build(path) if path.is_dir() else documents(path)
    for name in given.get("components", []):
        found = patched(found + build_component(folder / name), folder / name)
    return patched(found, folder) if given["kind"] == "Kustomization" else found


def build_component(folder: Path) -> list[Resource]:
    return [each for name in kustomization(folder)["resources"] for each in documents(folder / name)]


def patched(resources: list[Resource], folder: Path) -> list[Resource]:
    for patch in kustomization(folder).get("patches", []):
        target = patch["target"]
        [hit] = [r for r in resources if (r["kind"], r["metadata"]["name"]) == (target["kind"], target["name"])]
        change = yaml.safe_load(patch["patch"]) if "patch" in patch else documents(folder / patch["path"])[0]
        assert (change["kind"], change["metadata"]["name"]) == (target["kind"], target["name"])
        if change.get("$patch") == "delete":
            resources = [each for each in resources if each is not hit]
        else:
            assert set(change) == {"apiVersion", "kind", "metadata", "data"}, "this test merges data only"
            hit["data"] = {**hit["data"], **change["data"]}
    return resources


@pytest.fixture(scope="module")
def resources() -> list[Resource]:
    return build(PRODUCTION)


def of_kind(resources: list[Resource], *kinds: str) -> list[Resource]:
    return [each for each in resources if each["kind"] in kinds]


def pods(resources: list[Resource]) -> dict[str, Resource]:
    """The pod templates, by the name of their Deployment or Job."""
    return {each["metadata"]["name"]: each["spec"]["template"] for each in of_kind(resources, "Deployment", "Job")}


def containers(pod: Resource) -> list[Resource]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def selected(resources: list[Resource], labels: dict[str, str]) -> list[str]:
    return [name for name, pod in pods(resources).items() if labels.items() <= pod["metadata"]["labels"].items()]


def test_every_manifest_is_valid_and_used(resources: list[Resource]) -> None:
    for each in resources:
        if each["kind"] not in OF_OTHERS:
            kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)
    names = [(each["kind"], each["metadata"]["name"]) for each in resources]
    assert len(set(names)) == len(names) and {each["kind"] for each in resources} >= OF_OTHERS
    used = set(named_files(PRODUCTION))
    assert used == set(ROOT.rglob("*.yaml"))


def named_files(folder: Path) -> Iterator[Path]:
    yield folder / "kustomization.yaml"
    given = kustomization(folder)
    files = [*given.get("resources", []), *given.get("components", [])]
    for name in [*files, *(patch["path"] for patch in given.get("patches", []) if "path" in patch)]:
        path = (folder / name).resolve()
        assert path.exists(), f"{folder}: {name}"
        yield from named_files(path) if path.is_dir() else [path]


def test_a_schema_error_would_be_found() -> None:
    deployment = documents(ROOT / "base" / "web.yaml")[0]
    deployment["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, kubernetes_validate.latest_version(), strict=True)


def test_no_pod_is_privileged_or_writes_to_its_image(resources: list[Resource]) -> None:
    for name, pod in pods(resources).items():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] == 10001, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        # A service named `ray` would set RAY_PORT to an address.
        assert spec["automountServiceAccountToken"] is False and spec["enableServiceLinks"] is False
        for container in containers(pod):
            rights = container["securityContext"]
            assert rights["readOnlyRootFilesystem"] and not rights["allowPrivilegeEscalation"]
            assert rights["capabilities"] == {"drop": ["ALL"]}
            assert {"/data", "/tmp"} <= {mount["mountPath"] for mount in container["volumeMounts"]}
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            assert mounted <= {volume["name"] for volume in spec["volumes"]}
            assert container["resources"]["limits"]["memory"] and container["resources"]["requests"]["cpu"]


def test_images_are_targets_of_the_dockerfile(resources: list[Resource]) -> None:
    dockerfile = (BASE_DIR / "Dockerfile").read_text()
    used = {container["image"] for pod in pods(resources).values() for container in containers(pod)}
    targets = set(re.findall(r"^FROM code AS (\w+)$", dockerfile, re.MULTILINE))
    assert used == {f"cataract-{target}" for target in targets} == {"cataract-web", "cataract-trainer", "cataract-ray"}
    assert {image["name"] for image in kustomization(PRODUCTION)["images"]} == used
    assert "useradd --system --uid 10001" in dockerfile


def test_settings_exist(resources: list[Resource]) -> None:
    table = (BASE_DIR / "docs" / "settings.md").read_text()
    known = set(re.findall(r"^\| `([A-Z0-9_]+)`", table, re.MULTILINE)) | NOT_OURS
    [config] = of_kind(resources, "ConfigMap")
    secrets = {line.partition("=")[0] for line in (PRODUCTION / "secrets.env.example").read_text().split()}
    own = {e["name"] for pod in pods(resources).values() for c in containers(pod) for e in c.get("env", [])}
    unknown = (set(config["data"]) | secrets | own) - known
    assert not unknown
    assert config["data"]["INFERENCE"] == "ray" and config["data"]["PRODUCTION"] == "1"
    assert {"SECRET_KEY", "DATABASE_URL", "REDIS_URL"} <= secrets and not set(config["data"]) & secrets
    assert all(isinstance(value, str) for value in config["data"].values())
    [generated] = kustomization(PRODUCTION)["secretGenerator"]
    assert generated == {"name": "cataract", "envs": ["secrets.env"]}
    assert not (PRODUCTION / "secrets.env").exists()


def test_each_container_reads_the_config_and_the_secret(resources: list[Resource]) -> None:
    for pod in pods(resources).values():
        for container in containers(pod):
            names = [next(iter(source.values()))["name"] for source in container["envFrom"]]
            assert names == ["cataract", "cataract"]


def test_probes_ask_what_there_is(resources: list[Resource]) -> None:
    for name, pod in pods(resources).items():
        for container in pod["spec"]["containers"]:
            ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
            probes = [container[kind] for kind in container if kind.endswith("Probe")]
            assert probes or name == "setup", f"{name} has no probe"
            for probe in probes:
                if get := probe.get("httpGet"):
                    assert (get["path"], ports[get["port"]]) == ("/-/healthz", 8100)
                elif "docker/healthcheck.py" in probe["exec"]["command"]:
                    assert resolve(f"/api/v1/health/{probe['exec']['command'][-1]}")
    web = pods(resources)["web"]["spec"]["containers"][0]
    assert web["readinessProbe"]["exec"]["command"][-1] == "ready"
    assert web["livenessProbe"]["exec"]["command"][-1] == "live"
    check = (BASE_DIR / "docker" / "healthcheck.py").read_text()
    assert f"127.0.0.1:{web['ports'][0]['containerPort']}/api/v1/health/" in check


def test_commands_exist_and_every_queue_has_a_worker(resources: list[Resource]) -> None:
    said = [" ".join(c.get("command", [])) for pod in pods(resources).values() for c in containers(pod)]
    commands = {word for line in said for word in re.findall(r"manage\.py (\w+)", line)}
    assert commands == {"setup", "migrate", "serve"} and commands <= set(get_commands())
    queues = {queue for line in said for found in re.findall(r"--queues=(\S+)", line) for queue in found.split(",")}
    assert queues == {"default", "predict", "train"}
    beat = [each for each in of_kind(resources, "Deployment") if each["metadata"]["name"] == "beat"]
    assert [(each["spec"]["replicas"], each["spec"]["strategy"]["type"]) for each in beat] == [(1, "Recreate")]


def test_what_points_at_pods_finds_them(resources: list[Resource]) -> None:
    deployments = {each["metadata"]["name"] for each in of_kind(resources, "Deployment")}
    for each in of_kind(resources, "Deployment"):
        assert selected(resources, each["spec"]["selector"]["matchLabels"]) == [each["metadata"]["name"]]
    for each in of_kind(resources, "PodDisruptionBudget"):
        assert len(selected(resources, each["spec"]["selector"]["matchLabels"])) == 1
    for each in of_kind(resources, "HorizontalPodAutoscaler", "ScaledObject"):
        assert each["spec"]["scaleTargetRef"]["name"] in deployments
    scaled = [each["spec"]["scaleTargetRef"]["name"] for each in of_kind(resources, "HorizontalPodAutoscaler")]
    assert sorted(scaled) == ["ray-replicas", "web"]  # KEDA scales the workers, by the queue that Celery reads
    [keda] = of_kind(resources, "ScaledObject")
    assert keda["spec"]["triggers"][0]["metadata"]["listName"] == "predict"
    for service in of_kind(resources, "Service"):
        [name] = selected(resources, service["spec"]["selector"])
        ports = {port["name"] for c in pods(resources)[name]["spec"]["containers"] for port in c["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    [ingress] = of_kind(resources, "Ingress")
    [path] = ingress["spec"]["rules"][0]["http"]["paths"]
    assert path["backend"]["service"] == {"name": "web", "port": {"name": "http"}}
    [config] = of_kind(resources, "ConfigMap")
    assert ingress["spec"]["rules"][0]["host"] == config["data"]["ALLOWED_HOSTS"]


def test_network_policies_name_pods_and_ports_that_exist(resources: list[Resource]) -> None:
    policies = {each["metadata"]["name"]: each["spec"] for each in of_kind(resources, "NetworkPolicy")}
    assert policies["nobody"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert set(selected(resources, {"cataract/reaches": "outside"})) == set(pods(resources))
    exposed = {
        port["containerPort"]
        for pod in pods(resources).values()
        for c in containers(pod)
        for port in c.get("ports", [])
    }
    for spec in policies.values():
        labels = spec["podSelector"].get("matchLabels", {})
        assert selected(resources, labels)
        opened = {port["port"] for rule in spec.get("ingress", []) for port in rule.get("ports", [])}
        assert opened <= exposed
    names = policies["ray-cluster"]["podSelector"]["matchExpressions"][0]["values"]
    assert set(names) <= set(pods(resources))
