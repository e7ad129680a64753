"""A run as one HTML file that needs nothing else: film, contact sheet, timeline of replicas, segments with their
measures, and what it takes to make the film again. Also of a run that is not finished, which then says so.
"""

from ursa_ray.html_report.page import MAX_FILM_BYTES, ReportOptions, Written, write_report

__all__ = ["MAX_FILM_BYTES", "ReportOptions", "Written", "write_report"]
