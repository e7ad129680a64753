"""The configurations of clusters are what Ray and KubeRay accept, and keep what our documents promise of them."""

import copy
import json
import os
import re
import subprocess
from importlib.util import find_spec
from pathlib import Path

import jsonschema
import pytest
import yaml

REPOSITORY = Path(__file__).parent.parent
KUBERAY = REPOSITORY / "deploy" / "kuberay"
SCHEMAS = REPOSITORY / "tests" / "goldens" / "kuberay"
AWS = yaml.safe_load((REPOSITORY / "cluster.yaml").read_text())
ON_PREMISES = yaml.safe_load((REPOSITORY / "deploy" / "on-premises.yaml").read_text())
WORKERS = {name: kind for name, kind in AWS["available_node_types"].items() if name != AWS["head_node_type"]}
LAUNCHED = pytest.mark.parametrize("cluster", [AWS, ON_PREMISES], ids=["aws", "on-premises"])
APPLIED = pytest.mark.parametrize("name", ["ray-cluster", "ray-job"])
COMMANDS = ["initialization", "setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray"]
DEPLOYED = [
    REPOSITORY / "cluster.yaml",
    *(path for path in (REPOSITORY / "deploy").rglob("*") if path.is_file() and path.suffix != ".json"),
]


def commands(cluster, kinds=COMMANDS):
    return [command for kind in kinds for command in cluster.get(f"{kind}_commands", [])]


def starts(cluster, kind):
    (command,) = [command for command in commands(cluster, [f"{kind}_start_ray"]) if "ray start" in command]
    return command


def manifest(name):
    return yaml.safe_load((KUBERAY / f"{name}.yaml").read_text())


def cluster_spec(name):
    spec = manifest(name)["spec"]
    return spec.get("rayClusterSpec", spec)


def groups(name):
    return [cluster_spec(name)["headGroupSpec"], *cluster_spec(name)["workerGroupSpecs"]]


@pytest.fixture
def launchable():
    """What Ray's autoscaler makes of a configuration: the kinds of nodes by name."""
    from ray.autoscaler._private.util import prepare_config, validate_config
    from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig

    key = Path.home() / ".ssh" / "id_ed25519"
    key.parent.mkdir(exist_ok=True)
    key.write_text("of no machine")

    def kinds(cluster):
        validate_config(prepare_config(copy.deepcopy(cluster)))
        return AutoscalingConfig(copy.deepcopy(cluster), skip_content_hash=True).get_node_type_configs()

    return kinds


@pytest.fixture
def launches(launchable):
    """Ask Ray's scheduler which nodes it would launch for some actors, on a cluster that has only its head."""
    from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
    from ray.autoscaler.v2.utils import ResourceRequestUtil
    from ray.core.generated.common_pb2 import LabelSelectorOperator

    def ask(num_actors, resources, label=None):
        labels = [] if label is None else [[(label[0], LabelSelectorOperator.LABEL_OPERATOR_IN, [label[1]])]]
        requests = [ResourceRequestUtil.make(resources, label_selectors=labels) for _ in range(num_actors)]
        request = SchedulingRequest(
            disable_launch_config_check=True,
            node_type_configs=launchable(AWS),
            max_num_nodes=AWS["max_workers"] + 1,
            resource_requests=ResourceRequestUtil.group_by_count(requests),
        )
        reply = ResourceDemandScheduler().schedule(request)
        return {asked.instance_type: asked.count for asked in reply.to_launch if asked.instance_type in WORKERS}

    return ask


@LAUNCHED
def test_a_cluster_fits_the_schema_of_ray_and_passes_its_validation(cluster, launchable):
    schema = Path(find_spec("ray").submodule_search_locations[0]) / "autoscaler" / "ray-schema.json"
    jsonschema.validate(cluster, json.loads(schema.read_text()))
    assert launchable(cluster)


@LAUNCHED
def test_reading_a_cluster_leaves_no_settings_behind(cluster, launchable):
    before = dict(os.environ)
    launchable(cluster)
    assert dict(os.environ) == before


@pytest.mark.parametrize("misspelt", [{"max_worker": 8}, {"head_node_type": "heads"}])
def test_a_misspelt_cluster_is_refused(misspelt, launchable):
    with pytest.raises((jsonschema.ValidationError, ValueError)):
        launchable(AWS | misspelt)


def test_an_idle_cluster_is_its_head_alone_and_the_head_takes_no_work(launchable):
    kinds = launchable(AWS)
    assert {name: kind.min_worker_nodes for name, kind in kinds.items()} == {
        "head": 0,
        "gpu_spot": 0,
        "gpu_on_demand": 0,
    }
    assert set(kinds["head"].resources.values()) == {0}
    assert "--num-cpus=0 --num-gpus=0" in starts(ON_PREMISES, "head")


def test_workers_of_both_kinds_are_the_same_machine_but_for_the_market():
    spot, on_demand = (WORKERS[name]["node_config"] for name in ("gpu_spot", "gpu_on_demand"))
    assert spot == on_demand | {"InstanceMarketOptions": {"MarketType": "spot"}}
    assert AWS["max_workers"] == sum(kind["max_workers"] for kind in WORKERS.values())


@pytest.mark.parametrize(
    ("num_replicas", "nodes"),
    [(1, {"gpu_spot": 1}), (6, {"gpu_spot": 6}), (7, {"gpu_spot": 6, "gpu_on_demand": 1})],
)
def test_spot_is_asked_for_first_and_on_demand_for_what_is_beyond_it(num_replicas, nodes, launches):
    assert launches(num_replicas, {"GPU": 1}) == nodes


def test_a_label_brings_nodes_that_have_it_and_no_others(launches):
    assert launches(1, {"GPU": 1}, ("ray.io/market-type", "on-demand")) == {"gpu_on_demand": 1}
    assert launches(1, {"GPU": 1}, ("ray.io/accelerator-type", "L40S")) == {"gpu_spot": 1}
    assert launches(1, {"GPU": 1}, ("ray.io/accelerator-type", "H100")) == {}


@LAUNCHED
@pytest.mark.parametrize("kind", ["head", "worker"])
def test_every_node_asks_for_the_token_and_gets_it(cluster, kind):
    assert re.search(r"\bRAY_AUTH_MODE=token ray start ", starts(cluster, kind))
    assert cluster["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"


@LAUNCHED
def test_the_dashboard_listens_on_the_loopback_and_no_port_is_opened(cluster):
    assert re.findall(r"--dashboard-host[= ](\S+)", " ".join(commands(cluster))) == ["127.0.0.1"]
    assert cluster["provider"].get("security_group", {}).get("IpPermissions", []) == []
    assert not any(word in str(cluster) for word in ("0.0.0.0", "::/0", "--publish", "SecurityGroupIds"))


@LAUNCHED
def test_every_node_has_the_package_with_buckets_and_the_weights_before_ray_starts(cluster):
    setup = " ".join(cluster["setup_commands"])
    model = yaml.safe_load((REPOSITORY / "storyboards" / "grizzly-minute.yaml").read_text())["model"]
    assert f"hf download {model}" in setup
    assert "torch==" in setup and setup.index("torch==") < setup.index('".[s3]"')


@LAUNCHED
def test_every_command_is_shell(cluster):
    for command in commands(cluster):
        subprocess.run(["sh", "-n", "-c", command], check=True, timeout=10)


@LAUNCHED
def test_a_cluster_copies_what_is_installed_and_nothing_that_is_made_here(cluster):
    assert cluster["file_mounts"]["~/ursa-ray"] == "."
    assert set(cluster["rsync_exclude"]) == {".git", ".venv", "renders"}
    assert [path for path in ("constraints.txt", "pyproject.toml") if not (REPOSITORY / path).exists()] == []


def test_the_image_copies_files_that_are_there_and_has_the_weights():
    dockerfile = (REPOSITORY / "deploy" / "Dockerfile").read_text()
    copied = [
        path for line in re.findall(r"^COPY --chown=ray (.*) \S+$", dockerfile, re.MULTILINE) for path in line.split()
    ]
    assert "ursa_ray" in copied and [path for path in copied if not (REPOSITORY / path).exists()] == []
    model = yaml.safe_load((REPOSITORY / "storyboards" / "grizzly-minute.yaml").read_text())["model"]
    assert f"ARG MODEL={model}" in dockerfile and 'hf download "$MODEL"' in dockerfile


def test_every_node_installs_the_versions_that_are_tested_together():
    constraints = (REPOSITORY / "constraints.txt").read_text()
    for text in (path.read_text() for path in DEPLOYED):
        assert all(pin in constraints.split() for pin in re.findall(r"\btorch==\S+", text))
        versions = re.findall(r"rayproject/ray:(\d+\.\d+\.\d+)|rayVersion: (\S+)|ray\[default\]==([\d.]+)", text)
        assert all(f"ray=={''.join(found)}" in constraints.split() for found in versions)


@pytest.mark.parametrize("path", DEPLOYED, ids=lambda path: path.name)
def test_a_file_says_whether_it_was_run_how_to_use_it_and_holds_no_secret(path):
    text = path.read_text()
    comment = re.match(r"(#.*\n)+", text)
    assert comment and re.search(r"Not yet (run|built)", comment[0]) and "Fill in:" in comment[0]
    assert not re.search(r"AKIA\w{16}|BEGIN \w* ?PRIVATE KEY|\b[0-9a-f]{64}\b", text)


@pytest.mark.parametrize(
    "path", [path for path in DEPLOYED if path.name != "network-policy.yaml"], ids=lambda path: path.name
)
def test_files_that_a_comment_speaks_of_exist_and_three_commands_use_it(path):
    comment = re.match(r"(#.*\n)+", path.read_text())[0]
    assert len(re.findall(r"^#   \w", comment, flags=re.MULTILINE)) == 3
    named = re.findall(r"\b(?:deploy|docs|storyboards|jobs)/[\w./-]*\w|\bcluster\.yaml", comment)
    assert named and [name for name in named if not (REPOSITORY / name).exists()] == []


def test_links_and_files_in_the_guide_lead_somewhere():
    guide = (REPOSITORY / "docs" / "cluster.md").read_text()
    links = re.findall(r"\]\((?!https?://)([^)#]+)\)", guide)
    assert links and [link for link in links if not (REPOSITORY / "docs" / link).exists()] == []
    named = re.findall(r"\b(?:deploy|storyboards|jobs)/[\w./-]*\w|\bcluster\.yaml", guide)
    assert [name for name in named if not (REPOSITORY / name).exists()] == []


@APPLIED
def test_a_manifest_fits_the_schema_of_kuberay(name):
    jsonschema.validate(manifest(name), json.loads((SCHEMAS / f"{name}.json").read_text()))


@APPLIED
@pytest.mark.parametrize(
    "mistake", [{"authOption": {}}, {"authOptions": {"mode": "tokens"}}, {"enableInTreeAutoscaling": "yes"}]
)
def test_a_manifest_with_a_mistake_is_refused(name, mistake):
    mistaken = manifest(name)
    mistaken["spec"].get("rayClusterSpec", mistaken["spec"]).update(mistake)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(mistaken, json.loads((SCHEMAS / f"{name}.json").read_text()))


def test_a_job_brings_the_same_cluster_that_may_also_stay():
    assert cluster_spec("ray-job") == cluster_spec("ray-cluster")


@APPLIED
def test_pods_ask_for_the_token_come_with_the_work_and_have_time_to_stop(name):
    spec = cluster_spec(name)
    assert spec["authOptions"] == {"mode": "token"} and spec["enableInTreeAutoscaling"]
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert [(group["replicas"], group["minReplicas"]) for group in spec["workerGroupSpecs"]] == [(0, 0)]
    # A stop in order takes 10 s at most: docs/architecture and the README's exit code 130.
    assert all(group["template"]["spec"]["terminationGracePeriodSeconds"] > 10 for group in groups(name))


def test_a_job_is_stopped_in_order_resumed_and_leaves_nothing_running():
    spec = manifest("ray-job")["spec"]
    assert int(yaml.safe_load(spec["runtimeEnvYAML"])["env_vars"]["RAY_JOB_STOP_WAIT_TIME_S"]) > 10
    # KubeRay refuses to suspend a job whose cluster would stay.
    assert spec["suspend"] is False and spec["shutdownAfterJobFinishes"] and spec["ttlSecondsAfterFinished"] > 0


def test_only_the_pods_themselves_and_the_operator_reach_them():
    policy = manifest("network-policy")["spec"]
    labels = [group["template"]["metadata"]["labels"] for name in ("ray-cluster", "ray-job") for group in groups(name)]
    assert all(policy["podSelector"]["matchLabels"].items() <= of_pod.items() for of_pod in labels)
    assert policy["policyTypes"] == ["Ingress"]
    assert policy["ingress"][0] == {"from": [{"podSelector": policy["podSelector"]}]}
    assert [port["port"] for rule in policy["ingress"][1:] for port in rule["ports"]] == [8265]
