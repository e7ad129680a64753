"""`doctor`: about this machine."""

import typer

from ursa_ray.cli.app import app
from ursa_ray.cli.options import AsJson
from ursa_ray.cli.output import say, say_json
from ursa_ray.errors import UrsaRayError


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Show what this machine has and lacks for rendering."""
    from ursa_ray.doctor import examine

    findings = examine()
    for finding in findings:
        say(f"{'ok  ' if finding.ok else 'LACK'}  {finding.name}: {finding.found}")
    if as_json:
        say_json({finding.name: {"ok": finding.ok, "found": finding.found} for finding in findings})
    if not all(finding.ok for finding in findings):
        raise typer.Exit(UrsaRayError.exit_code)
