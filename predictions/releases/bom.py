"""The bill of materials of a release, as CycloneDX 1.6 JSON: its files, and what is known of the data behind them."""

from typing import Any

from cataract.ml.release.manifest import Manifest


def bill_of_materials(manifest: Manifest) -> dict[str, Any]:
    """A machine-learning model with its files and their hashes, its model card, and a statement of its data."""
    reference = f"release-{manifest.id}"
    files = [
        {
            "type": "file",
            "bom-ref": f"{reference}/{name}",
            "name": name,
            "hashes": [{"alg": "SHA-256", "content": record.sha256}],
        }
        for name, record in sorted(manifest.files.items())
    ]
    model = {
        "type": "machine-learning-model",
        "bom-ref": reference,
        "name": manifest.name,
        "version": manifest.id,
        "hashes": [{"alg": "SHA-256", "content": manifest.sha256}],
        "modelCard": {
            "modelParameters": {
                "task": "classification",
                "architectureFamily": manifest.encoder.arch,
                "datasets": [{"ref": f"{reference}/data"}],
            }
        },
        "components": files,
        "properties": [{"name": "cataract:code_commit", "value": manifest.code_commit}],
    }
    data = {
        "type": "data",
        "bom-ref": f"{reference}/data",
        "name": f"The photos behind {manifest.name}",
        "data": [{"type": "dataset", "name": name, "description": str(said)} for name, said in _statements(manifest)],
    }
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"timestamp": manifest.created_at, "component": model},
        "components": [data],
        "dependencies": [{"ref": reference, "dependsOn": [f"{reference}/data"]}, {"ref": f"{reference}/data"}],
    }


def _statements(manifest: Manifest) -> list[tuple[str, Any]]:
    """What the manifest says of its data, one statement each."""
    return sorted(manifest.data.items())
