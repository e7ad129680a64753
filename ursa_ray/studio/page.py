"""The page: its rooms, its looks, and how Gradio is to serve it."""

from pathlib import Path
from typing import Any

import gradio as gr
from gradio import themes
from starlette.middleware import Middleware

from ursa_ray.studio.answers import Answers
from ursa_ray.studio.desk import Desk
from ursa_ray.studio.guard import Guard
from ursa_ray.studio.room import Room
from ursa_ray.studio.samples_room import SamplesRoom
from ursa_ray.studio.watching import Watching

STYLE = Path(__file__).with_name("studio.css")

# Fonts of the reader's system: any other would have to be fetched.
FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
MONOSPACED = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


def build(desk: Desk) -> gr.Blocks:
    with gr.Blocks(title="ursa-ray studio", analytics_enabled=False, fill_width=True) as page:
        gr.HTML('<header id="top"><b>ursa-ray</b> studio</header>')
        with gr.Tabs():
            with gr.Tab("Storyboard", id="storyboard"):
                Room(page, Answers(desk), Watching(desk))
            with gr.Tab("Images", id="images"):
                SamplesRoom(page, desk.samples, "image")
            with gr.Tab("Videos", id="videos"):
                SamplesRoom(page, desk.samples, "video")
    return page


def launch_options(names: frozenset[str] | None) -> dict[str, Any]:
    """Of `Blocks.launch`: how it looks, and what it must not do; `names` as of `Guard`."""
    return {
        "theme": _theme(),
        "css": STYLE.read_text("utf-8"),
        "app_kwargs": {"middleware": [Middleware(Guard, names=names)]},
        "share": False,
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": False,
        "enable_monitoring": False,
        "run_history": False,
        "footer_links": [],
        "quiet": True,
        "show_error": True,
    }


def _theme() -> themes.Base:
    return themes.Base(
        primary_hue=themes.colors.amber,
        neutral_hue=themes.colors.stone,
        font=FONT,
        font_mono=MONOSPACED,
        radius_size=themes.sizes.radius_md,
    )
