"""The tables of README and docs state what the committed results state."""

import json
import math
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = "README.md"
RESULTS = "docs/results.md"
BENCHMARKS = "docs/benchmarks.md"
SIZES = "docs/guides/sizes.md"
RESOLUTION = "docs/guides/resolution.md"
ADAPTIVE = "docs/guides/adaptive_kernels.md"
ENGINES = "docs/guides/engines.md"


def result(name):
    """Return the result of an experiment."""
    return json.loads((ROOT / "experiments" / name / "result.json").read_text(encoding="utf-8"))


def benchmark(name):
    """Return the points of a benchmark by name."""
    content = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))
    return {point["name"]: point["results"] for point in content["points"]}


def check(page, *texts):
    """Assert that a page has every text, without the marks of bold type."""
    content = (ROOT / page).read_text(encoding="utf-8").replace("**", "")
    for text in texts:
        assert text in content, f"{page}: {text}"


def percent(mean, deviation=None):
    text = f"{100 * mean:.2f}"
    return f"{text} %" if deviation is None else f"{text} +- {100 * deviation:.2f} %"


def accuracy(net):
    return percent(net["test_mean"], net["test_sd"])


@pytest.mark.parametrize("name", ["digits", "mnist_flexnet", "mnist1d_flextcn"])
def test_trained_networks(name):
    run = result(name)
    check(RESULTS, percent(run["accuracy_mean"], run["accuracy_sd"]), f"| {run['parameters']:,} |")


def test_trained_networks_of_the_readme():
    network = result("mnist_flexnet")
    check(README, f"{network['parameters']:,} parameters | {percent(network['accuracy_mean'])}")
    check(README, f"| {percent(result('mnist1d_flextcn')['accuracy_mean'])} | published CNN")


@pytest.mark.parametrize("name", ["fixed_sizes", "fixed_sizes_1d"])
def test_fixed_sizes(name):
    nets = result(name)["nets"]
    for label, net in nets.items():
        check(RESULTS, f"| {label} | {accuracy(net)} |")
    best = max((net for label, net in nets.items() if label != "learned"), key=lambda net: net["test_mean"])
    learned = percent(nets["learned"]["test_mean"])
    check(README, f"| {learned} | {percent(best['test_mean'])} |")
    check(SIZES, f"| {learned} | {percent(best['test_mean'])} (")


def test_ablation():
    nets = result("ablation")["nets"]
    names = {"FlexNet": "FlexNet (default)", "window as it starts": "window fixed as it starts"}
    for label, net in nets.items():
        gain = 100 * (net["test_mean"] - nets["FlexNet"]["test_mean"])
        against = "" if label == "FlexNet" else f" {gain:+.2f} |"
        check(RESULTS, f"| {names.get(label, label)} | {accuracy(net)} |{against}")


def test_size_budgets():
    for entry in result("size_budget")["budgets"]:
        check(SIZES, f"| {entry['macs_mean'] / 1e6:.1f} M | {percent(entry['test_mean'])} |")


RESOLUTION_NAMES = {
    "FlexNet authors' initialisation": "FlexNet, initialised as by the authors",
    "FlexNet SIREN": "FlexNet with SIREN",
    "FlexNet points": "FlexNet with points",
    "conv 3x3": "3x3 convolutions",
    "conv horizon": "convolutions as large as the horizon",
}
LEFT_OUT = {
    "cross_resolution": {"FlexNet with thrice the penalty", "ResNet-20"},
    "cross_resolution_cifar10": {"FlexNet SIREN", "FlexNet points", "conv horizon", "ResNet-20"},
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_cross_resolution(name):
    for label, net in result(name)["nets"].items():
        if label in LEFT_OUT[name]:
            continue
        cells = [RESOLUTION_NAMES.get(label, label), f"{net['parameters']:,}"]
        cells += [f"{100 * net[key]:.2f}" for key in ("source_mean", "out_of_box_mean")]
        if name == "cross_resolution":
            ordinary = not label.startswith(("FlexNet", "N-Jet"))
            cells.append(f"{100 * net['enlarged_mean']:.2f}" if ordinary else "-")
        cells.append(f"{100 * net['tuned_mean']:.2f}")
        check(RESOLUTION, f"| {' | '.join(cells)} |")


def test_cross_resolution_of_the_readme():
    nets = result("cross_resolution")["nets"]
    ours, residual, jet = (
        percent(nets[name]["out_of_box_mean"]) for name in ("FlexNet with penalty", "ResNet-44", "N-Jet")
    )
    check(README, f"| {ours} | ResNet-44: {residual}; N-Jet: {jet} |")


FITTED = {
    "MAGNet": "MAGNet",
    "MAGNet 256": "MAGNet, input scale of the authors",
    "GaborNet 1 layer": "GaborNet, one layer",
    "SIREN 60": "SIREN, higher frequency",
    "SIREN 4 layers": "SIREN, four layers",
    "points": "points",
    "N-Jet": "N-Jet (57 parameters)",
}


def test_fitted_kernels():
    rows = [row for row in result("kernel_fitting")["rows"] if row["budget"] == 1000]
    for network, label in FITTED.items():
        psnr = [f"{row['psnr_mean']:.1f}" for row in rows if row["network"] == network]
        check(RESOLUTION, f"| {label} | {' | '.join(psnr)} |")


def test_adaptive_mnist():
    contestants = result("adaptive_mnist")["contestants"]
    for entry in contestants.values():
        reached = percent(entry["accuracy_mean"], entry["accuracy_sd"])
        cells = [reached, str(len(entry["runs"])), f"{entry['parameters']:,}", f"{1e3 * entry['latency']:.2f} ms"]
        check(RESULTS, f"| {' | '.join(cells)} |")
    ours, plain = (percent(contestants[name]["accuracy_mean"]) for name in ("adaptive", "plain"))
    check(README, f"| {ours} | plain network: {plain}")


def test_motion():
    content = result("motion")
    nets = content["nets"]
    for label, comparison in content["comparisons"].items():
        name, _, kind = label.partition(", ")
        if name not in ("adaptive hybrid 32", "adaptive hybrid 64") or not kind:
            continue
        ours, rival = percent(nets[name]["test_mean"]), percent(nets[comparison["rival"]]["test_mean"])
        gain = f"{100 * comparison['gain']:+.2f} points"
        check(
            RESULTS,
            f"{nets[name]['parameters']:,} parameters | {ours} | {rival}, {kind} | {gain} | {comparison['p']:.3f} |",
        )
        if name == "adaptive hybrid 64":
            check(
                README,
                f"{kind} | {ours} | plain network: {rival} |".replace("equal parameters |", "equal parameters |"),
            )
    for name in ("squares 32", "squares 64", "adaptive hybrid 32"):
        check(RESULTS, f"{100 * nets[name]['test_mean']:.2f}")
        check(ADAPTIVE, f"{100 * nets['adaptive hybrid 32']['test_mean']:.2f}")


def test_denoising():
    content = result("denoising")
    nets = content["nets"]
    for label, comparison in content["comparisons"].items():
        name, _, kind = label.partition(", ")
        if label == "adaptive last 12-12, equal latency":  # no difference: +0.00 dB
            continue
        ours, rival = (f"{nets[net]['test_mean']:.2f} dB" for net in (name, comparison["rival"]))
        cells = [ours, f"{rival}, {kind}", f"{comparison['gain']:+.2f} dB", f"{comparison['p']:.3f}"]
        check(RESULTS, f"{nets[name]['parameters']:,} parameters | {' | '.join(cells)} |")
    check(RESULTS, f"{nets['adaptive alone 3x3']['test_mean']:.2f} dB")
    for name in ("adaptive last 9-9-9", "plain 9-9-9"):
        check(ADAPTIVE, f"{1e6 * nets[name]['latency_torch']:.0f} us")


def test_searches_without_a_gain():
    settings, scales = result("adaptive_settings")["nets"], result("mixed_scales")["nets"]
    residual = result("thin_resnets")["contestants"]
    check(RESULTS, f"| {accuracy(settings['second depthwise'])} (", f"| {accuracy(settings['plain separable'])} (")
    check(RESULTS, f"| {accuracy(scales['AdaptiveConv 3x3'])} (", f"| {accuracy(scales['plain 5x5'])} (")
    check(RESULTS, *(percent(residual[name]["accuracy_mean"]) for name in ("14 stem", "14 nowhere")))
    check(
        ADAPTIVE,
        *(percent(scales[name]["test_mean"]) for name in ("plain 5x5", "AdaptiveConv 3x3", "AdaptiveFlexConv")),
    )


def test_inspected_kernels():
    content = result("mnist_adaptive_kernels")
    (share,) = content["share"].values()
    check(ADAPTIVE, f"{100 * share:.0f} %", f"{100 * content['accuracy']:.2f}", percent(content["accuracy_of_mean"]))


def seconds(value):
    """Return three digits, in seconds."""
    return f"{value:.3g}" if value >= 1 else f"{value:.3f}"


def test_training_steps():
    for name, contestants in benchmark("step").items():
        ours, authors = contestants["ours"]["seconds"], contestants["authors"].get("seconds")
        check(ENGINES, f"| {seconds(ours)} s |")
        if authors:
            check(ENGINES, f"| {seconds(ours)} s | {seconds(authors)} s | {authors / ours:.3g} |")
            check(BENCHMARKS, f"| {authors / ours:.3g} |")
        if name == "flexnet7 64x3x32x32 width 0.25":
            check(README, f"| {seconds(ours)} s | algorithm of the authors: {seconds(authors)} s |")


def test_adaptive_layers():
    for name, contestants in benchmark("adaptive/claims").items():
        cells = []
        for contestant in ("ours", "unfold", "unfold-compiled", "shift"):
            measured = contestants[contestant]
            cells.append(f"{1e3 * measured['seconds']:.2f} ms, {measured['memory'] / 2**20:.1f} MiB")
        check(BENCHMARKS, f"| {' | '.join(cells)} |")
        if name.endswith("16->16 k3 32px forward"):
            ours, rival = cells[0].split(", "), cells[1].split(", ")
            check(ADAPTIVE, f"| {ours[0]} | {rival[0]} |", f"| {ours[1]} | {rival[1]} |")
            check(README, f"| {ours[1]} | `unfold`: {rival[1]} |")


LAST = "-channels-last"
ENGINES_OF_SPECTRA = ("fft", "dft", "overlap_save")
PEERS = {
    "authors": "algorithm of the authors",
    "fft-conv-pytorch": "fft-conv-pytorch",
    "torch-fftconv": "torch-fftconv",
    "julius": "julius",
    "nvsubquadratic": "nvsubquadratic (depthwise)",
    "torch": "torch, contiguous",
    "torch-channels-last": "torch, channels last",
}


def times(contestants):
    """Return the seconds of all contestants that took part in a point."""
    return {name: measured["seconds"] for name, measured in contestants.items() if "seconds" in measured}


def test_peers():
    grid = [times(contestants) for contestants in benchmark("conv-full").values()]
    for peer, label in PEERS.items():
        ours = f"auto{LAST}" if peer.endswith(LAST) else "auto"
        ratios = [point[peer] / point[ours] for point in grid if peer in point and ours in point]
        wins = sum(ratio > 1 for ratio in ratios)
        check(BENCHMARKS, f"| {label} | {wins} | {len(ratios)} | {statistics.median(ratios):.2f}x |")


def test_choice_of_engines():
    ratios = []
    grid = benchmark("conv-full")
    for point in map(times, grid.values()):
        for layout in ("", LAST):
            rivals = [
                value for name, value in point.items() if name.endswith(LAST) == bool(layout) and "auto" not in name
            ]
            if rivals and f"auto{layout}" in point:
                ratios.append(point[f"auto{layout}"] / min(rivals))
    share = f"{100 * sum(ratio <= 1.15 for ratio in ratios) / len(ratios):.1f} %"
    check(BENCHMARKS, f"| >= 95 % | {share} |", f"| <= 1.5 | {max(ratios):.2f} |")
    check(ENGINES, f"at {share} of the points", f"{max(ratios):.2f} times")
    check(README, f"{len(grid)} problems | {share} |")


def test_errors():
    points = [*benchmark("conv-full").values(), *benchmark("conv-claims").values(), *benchmark("conv-growth").values()]

    def largest(name):
        return max(max(point[name]["errors"].values()) for point in points if "errors" in point.get(name, {}))

    spectral = max(largest(name) for name in ENGINES_OF_SPECTRA)
    check(BENCHMARKS, f"| <= 1e-06 | {largest('auto'):.3g} |", f"| <= 1e-06 | {spectral:.3g} |")
    check(ENGINES, f"error of {spectral:.2g} on", f"within {largest('direct'):.2g}")


GROWTH = {
    "8192 samples: kernel size": "dense 1x24x8192 ",
    "64 x 64 pixels: kernel size": "dense 1x24x64x64 ",
    "32 x 32 x 32 voxels: kernel size": "dense 1x24x32x32x32 ",
}


def exponent(sizes, seconds):
    """Return the exponent of the power law that fits best on logarithmic axes."""
    return statistics.linear_regression(
        [math.log(size) for size in sizes], [math.log(value) for value in seconds]
    ).slope


@pytest.mark.parametrize("label", GROWTH)
def test_growth(label):
    results = benchmark("conv-growth")
    points = {name: times(point) for name, point in results.items() if name.startswith(GROWTH[label])}
    cells = []
    for contestant in ("auto", "torch"):
        measured = {name: point[contestant] for name, point in points.items() if contestant in point}
        sizes = [int(name.split(" k")[1].split(" ")[0].split("x")[0]) for name in measured]
        cells.append(f"{exponent(sizes, measured.values()):.2f}")
    check(BENCHMARKS, f"| {label} | {' | '.join(cells)} |")
