"""Entry point for a cluster: ray job submit --working-dir . -- python jobs/evaluate.py SUITE [options]

It takes the arguments of `ursa-ray evaluate` and samples on the cluster that the job runs on.
"""

import sys

from ursa_ray.cli import main

if __name__ == "__main__":
    main(["evaluate", *sys.argv[1:]])
