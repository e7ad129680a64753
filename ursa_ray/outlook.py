"""What was predicted of a render, in few words, for people and for machines."""

from dataclasses import asdict
from typing import Any

from ursa_ray.forecast import CriticalPath, Forecast, Gpu, Prediction
from ursa_ray.summary import format_time
from ursa_ray.wording import count_of


def prediction_summary(predicted: Prediction) -> dict[str, Any]:
    question, path = predicted.question, predicted.path
    return {
        "gpu": question.gpu.kind,
        "flops_per_s": question.gpu.flops_per_s,
        "startup_s": question.gpu.startup_s,
        "critical_path": [{"shot": shot, "num_segments": num} for shot, num in path.shots],
        "critical_path_s": path.seconds,
        "deadline_s": question.deadline_s,
        "on_gpus": None if predicted.on is None else asdict(predicted.on),
        "within_deadline": None if predicted.within is None else asdict(predicted.within),
        "quickest": None if predicted.quickest is None else asdict(predicted.quickest),
    }


def prediction_text(predicted: Prediction) -> str:
    """How long it takes, what decides that, and what a deadline takes."""
    question, path = predicted.question, predicted.path
    if not path.shots:
        return "nothing is left to make"
    gpu = question.gpu
    chain = f"{count_of(path.num_segments, 'segment')} one after the other"
    lines = [f"critical path: {_shots(path)}: {chain}, {_time(path.seconds)}"]
    if predicted.on is not None:
        lines.append(f"on {_forecast(predicted.on, gpu)}")
    if question.deadline_s is not None:
        within = f"within {_time(question.deadline_s)}:"
        lines.append(f"{within} {_forecast(predicted.within, gpu) if predicted.within else _too_late(predicted)}")
    lines.append(f"predicted, not measured: {gpu.flops_per_s / 1e12:.0f} TFLOP/s, {gpu.startup_s:.0f} s to start")
    return "\n".join(lines)


def _forecast(forecast: Forecast, gpu: Gpu) -> str:
    cost = "" if forecast.cost is None else f", cost {forecast.cost:.2f}"
    return (
        f"{forecast.num_gpus} {gpu.kind}: {_time(forecast.wall_s)}, {forecast.gpu_s / 3600:.2f} GPU hours, "
        f"busy {forecast.busy_share:.0%} of that{cost}"
    )


def _too_late(predicted: Prediction) -> str:
    path, quickest = predicted.path, predicted.quickest
    assert quickest is not None, predicted
    at_best = f"{quickest.num_used} take {_time(quickest.wall_s)}, and more as long"
    takes = f"no number of {predicted.question.gpu.kind} will do: {at_best}"
    if path.num_segments == 1:
        return takes
    longest = max(path.shots, key=lambda shot: shot[1])[0]
    cuts = [f"make {longest} several shots"] if dict(path.shots)[longest] > 1 else []
    if path.middle is not None:
        cuts.insert(0, f"leave out the continue of {path.middle}")
    return f"{takes}. Cut the critical path: {', or '.join(cuts)}"


def _time(seconds: float) -> str:
    """Minutes with a digit more: what is too late by seconds must look so."""
    return f"{seconds / 60:.1f} min" if 90 <= seconds < 5400 else format_time(seconds)


def _shots(path: CriticalPath) -> str:
    return ", ".join(f"{shot} ({num})" for shot, num in path.shots)
