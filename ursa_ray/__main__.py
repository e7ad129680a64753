"""`python -m ursa_ray` is `ursa-ray`."""

from ursa_ray.cli import main

main()
