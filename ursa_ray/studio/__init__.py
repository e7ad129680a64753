"""The studio: a page in the browser in which films are planned, rendered, watched and taken again.

It holds nothing of a render itself. Renders are processes of the command line that outlive the page and the studio;
what the page shows is a function of plan, ledger and what is underway, so it may be closed, opened again, or pointed
at a run that was made elsewhere.
"""

from ursa_ray.studio.server import StudioOptions, serve

__all__ = ["StudioOptions", "serve"]
