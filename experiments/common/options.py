"""Options that experiments share, and the checks that keep a try from replacing a result."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flexkern._support.nearest import did_you_mean

from .catalogue import dashed, result_path


@dataclass(frozen=True)
class Settings:
    """Checked options of one call.

    Attributes:
        name: of the experiment, with dashes.
        out: file of the results.
        contestants: names of those to be run.
        seeds: of the runs.
        epochs: instead of the experiment's own; None for these.
        data_dir: folder with local copies of the data; None if not given.
        threads: per run.
    """

    name: str
    out: Path
    contestants: tuple[str, ...]
    seeds: tuple[int, ...]
    epochs: int | None
    data_dir: str | None
    threads: int


@dataclass(frozen=True)
class Options:
    """Options of an experiment on the command line.

    Args:
        name: of the experiment.
        contestants: names that ``--only`` chooses from; without any there is no such option.
        seeds: default of ``--seeds``; without any there is no such option.
        epochs: whether there is an option ``--epochs``.
        data: what ``--data-dir`` must name; empty if it may be left out.
        joint_seeds: whether a file of results has one list of seeds, to which none can be added.
    """

    name: str
    contestants: Sequence[str] = ()
    seeds: Sequence[int] = (0, 1, 2)
    epochs: bool = True
    data: str = ""
    joint_seeds: bool = False

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Add the options to a parser."""
        if self.contestants:
            parser.add_argument("--only", default="", metavar="A,B", help="contestants, by default all")
        if self.seeds:
            seeds = ",".join(map(str, self.seeds))
            parser.add_argument("--seeds", metavar="S,S", help=f"seeds ({seeds})")
        if self.epochs:
            parser.add_argument("--epochs", type=int, metavar="N", help="epochs of a try, instead of the experiment's")
        parser.add_argument("--threads", type=int, default=1, metavar="T", help="threads per run (1)")
        data = self.data or "folder or file with a local copy of the data"
        parser.add_argument("--data-dir", metavar="D", help=data)
        out = "/".join(result_path(self.name).parts[-3:])
        parser.add_argument("--out", metavar="FILE", help=f"file of results ({out})")

    def read(self, options: argparse.Namespace) -> Settings:
        """Return the checked options.

        Raises:
            ValueError: an option is out of range, missing, or would replace the result by a part or a try.
        """
        out = Path(options.out) if options.out else result_path(self.name)
        settings = Settings(
            name=dashed(self.name),
            out=out,
            contestants=self._read_contestants(getattr(options, "only", "")),
            seeds=self._read_seeds(getattr(options, "seeds", None)),
            epochs=getattr(options, "epochs", None),
            data_dir=options.data_dir,
            threads=options.threads,
        )
        self._check(settings, options)
        return settings

    def _read_contestants(self, text: str) -> tuple[str, ...]:
        names = tuple(name for name in text.split(",") if name)
        for name in names:
            if name not in self.contestants:
                known = ", ".join(self.contestants)
                nearest = did_you_mean(name, self.contestants)
                raise ValueError(f"unknown contestant `{name}`; known: {known}{nearest}")
        return names or tuple(self.contestants)

    def _read_seeds(self, text: str | None) -> tuple[int, ...]:
        if not text:
            return tuple(self.seeds)
        try:
            return tuple(int(seed) for seed in text.split(","))
        except ValueError:
            raise ValueError(f"`--seeds` must be whole numbers such as 0,1,2, got {text!r}.") from None

    def _check(self, settings: Settings, options: argparse.Namespace) -> None:
        if settings.out.is_dir():
            raise ValueError(f"{settings.out} is a folder: give `--out` a file.")
        if settings.epochs is not None and settings.epochs < 1:
            raise ValueError(f"`--epochs` must be positive, got {settings.epochs}.")
        if self.data and not settings.data_dir:
            raise ValueError(f"{settings.name} needs `--data-dir`, {self.data}.")
        other_seeds = self.joint_seeds and settings.seeds != tuple(self.seeds)
        if (settings.epochs or other_seeds) and not options.out:
            raise ValueError(f"a try or a part of {settings.name} would replace {settings.out}: give `--out`.")
