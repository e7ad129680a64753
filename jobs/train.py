"""Train a model: python jobs/train.py --config training/tiny.yaml [--export FOLDER]

It runs in processes of this machine or, with `launcher: ray`, on the Ray cluster that the job runs on (ray job submit
--working-dir . -- python jobs/train.py ...), and goes on from what the output folder holds. `--export` trains nothing:
it writes the newest state as a checkpoint. A remote cluster that asks for no token is refused without
`--insecure-cluster`.
"""

import argparse
import os
import sys
from pathlib import Path

from ursa_ray.errors import UrsaRayError
from ursa_ray.training.config import Config
from ursa_ray.training.export import export
from ursa_ray.training.stages import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--export", type=Path, metavar="FOLDER")
    parser.add_argument("--insecure-cluster", action="store_true")
    arguments = parser.parse_args()
    try:
        config = Config.from_yaml(arguments.config)
        if arguments.export is None and config.launcher == "ray":
            from ursa_ray.cluster.training import train_on_cluster

            train_on_cluster(config, os.environ.get("RAY_ADDRESS"), arguments.insecure_cluster)
        elif arguments.export is None:
            run(config)
        else:
            step = export(config, arguments.export)
            print(f"{arguments.export}: the transformer after {step} steps")  # noqa: T201
    except UrsaRayError as error:
        print(error, file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
