"""How much the kernels of the shipped adaptive MNIST network vary with the input."""

from __future__ import annotations

import argparse

from flexkern.app.cli.text import table
from flexkern.app.report.adaptive import inspect_adaptive
from flexkern.app.report.figures import check_figure
from flexkern.app.training.record import write_result

from ..common.options import Options

ABOUT = "how much do the kernels of the shipped adaptive MNIST network follow the input? a minute"

WEIGHTS = "mnist-adaptive"
OPTIONS = Options(
    "mnist_adaptive_kernels",
    seeds=(),
    epochs=False,
    data="the folder or file of MNIST",
)
add_arguments = OPTIONS.add_to


def run(options: argparse.Namespace) -> int:
    """Measure the kernels, draw those of two digits, and print a table."""
    settings = OPTIONS.read(options)
    figure = settings.out.with_suffix(".png")
    check_figure(figure)
    measures = inspect_adaptive(WEIGHTS, settings.data_dir, figure=figure)
    result = write_result(settings.out, {**measures, "weights": WEIGHTS})
    rows = []
    for layer, share in result["share"].items():
        rows.append([layer, f"{100 * share:.0f} %"])
    print(table(["layer", "varies with the input"], rows))
    print(f"accuracy: {100 * result['accuracy']:.2f} %")
    print(f"accuracy with mean kernels: {100 * result['accuracy_of_mean']:.2f} %")
    print(f"results: {settings.out} and {figure}")
    return 0
