"""ursa-ray: turn a storyboard into a long film with the text-to-video model URSA."""

__version__ = "0.1.0"
