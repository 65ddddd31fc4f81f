"""A plan in words."""

from collections.abc import Sequence

from .plan import PASSES, PassPlan, Plan

TITLES = dict(zip(PASSES, ("forward", "input gradient", "weight gradient"), strict=True))


def explain(plan: Plan) -> str:
    """The problem, then per pass what is done, why, and what the other engines were expected to take."""
    p = plan.problem
    lines = [
        f"{p.in_channels} -> {p.out_channels} channels, signal {by(p.signal)}, kernel {by(p.kernel)}, "
        f"groups {p.groups}, batch {p.batch}."
    ]
    for name, step in zip(PASSES, plan.passes, strict=True):
        lines.append(f"{TITLES[name]}: {describe(step)}.")
        estimates = plan.estimates.get(name, {})
        if len(estimates) > 1:
            ranked = sorted(estimates.items(), key=lambda item: item[1])
            lines.append("  expected: " + ", ".join(f"{engine} {milliseconds(cost)}" for engine, cost in ranked) + ".")
    return "\n".join([*lines, *_reasons(plan)])


def _reasons(plan: Plan) -> list[str]:
    """Why passes go as they do."""
    if all(len(estimates) <= 1 for estimates in plan.estimates.values()):
        return ["The engine was given, so nothing else was considered."]
    if plan.by_torch and any(min(costs, key=lambda name: costs[name]) != "direct" for costs in plan.estimates.values()):
        return ["All passes are torch's own: leaving one of them to another engine would not save its extra call."]
    if plan.input_gradient == plan.weight_gradient and plan.input_gradient.engine != "direct":
        return ["Both gradients follow one plan and share the transform of the output's gradient."]
    return ["Each pass takes the engine of the lowest estimate."]


def describe(step: PassPlan) -> str:
    """One pass in a line."""
    if step.engine == "direct":
        layout = ", computed channels last" if step.channels_last else ""
        return f"direct{layout}" + (f", {step.chunk} signals at a time" if step.chunk else "")
    how = "matrix products" if step.matrices else "FFT library"
    text = f"{step.engine}, transforms of {by(step.lengths)} samples by {how}"
    if step.fold > 1:
        text += f" in two stages ({step.lengths[0] // step.fold} x {step.fold})"
    if step.block:
        text += f", blocks of {by(step.block)} outputs"
    if step.channels:
        text += f", {step.channels} channels at a time"
    if step.chunk:
        text += f", {step.chunk} signals at a time"
    if step.rows:
        text += f", {step.rows} blocks of the first axis at a time"
    return text


def milliseconds(seconds: float) -> str:
    """Three digits, in milliseconds."""
    return f"{seconds * 1e3:.3g} ms"


def by(sizes: Sequence[int]) -> str:
    """32x32."""
    return "x".join(str(size) for size in sizes)
