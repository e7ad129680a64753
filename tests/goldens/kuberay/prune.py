"""Prune KubeRay's schemas to what the manifests in deploy/kuberay use: python prune.py FOLDER_OF_CRDS.

FOLDER_OF_CRDS is helm-chart/kuberay-operator/crds of the KubeRay release named in README.md. Of a field that a manifest
uses all is kept but descriptions, defaults and CEL rules; any other field is left out and so refused.
"""

import json
import sys
from pathlib import Path

import yaml

HERE = Path(__file__).parent
MANIFESTS = HERE.parents[2] / "deploy" / "kuberay"
KEPT = ("type", "enum", "pattern", "minimum", "maximum", "anyOf", "format", "additionalProperties")


def pruned(schema: dict, used: object) -> dict:
    kept = {key: schema[key] for key in KEPT if key in schema}
    if isinstance(used, list):
        merged = schema["items"]
        return kept | {"items": _union([pruned(merged, item) for item in used])}
    if isinstance(used, dict) and "properties" in schema:
        fields = schema["properties"]
        # A field with a default is filled in before the server asks what is required.
        required = [name for name in schema.get("required", []) if "default" not in fields[name]]
        properties = {name: pruned(fields[name], value) for name, value in used.items() if name in fields}
        return kept | {"properties": properties, "required": required, "additionalProperties": False}
    return kept


def _union(schemas: list[dict]) -> dict:
    union = dict(schemas[0])
    for schema in schemas[1:]:
        union |= {"properties": union.get("properties", {}) | schema.get("properties", {})}
    return union


def main(crds: Path) -> None:
    for manifest, crd in [("ray-cluster", "ray.io_rayclusters"), ("ray-job", "ray.io_rayjobs")]:
        versions = yaml.safe_load((crds / f"{crd}.yaml").read_text())["spec"]["versions"]
        (schema,) = [version["schema"]["openAPIV3Schema"] for version in versions if version["name"] == "v1"]
        used = yaml.safe_load((MANIFESTS / f"{manifest}.yaml").read_text())
        (HERE / f"{manifest}.json").write_text(json.dumps(pruned(schema, used), indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
