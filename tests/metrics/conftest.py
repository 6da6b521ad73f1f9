"""Published figures, and a slow second implementation that shares nothing with `irstd.metrics`."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from irstd.metrics import CONVENTIONS, MetricSuite

GOLDEN = Path(__file__).parents[1] / "golden" / "metrics"


@dataclass(frozen=True)
class Golden:
    """81 small cases: probability and mask by id, and the figures of exact arithmetic."""

    cases: dict[str, tuple[np.ndarray, np.ndarray]]
    sets: dict[str, list[str]]
    per_case: dict[str, Any]
    per_set: dict[str, Any]
    roc200: dict[str, Any]


@pytest.fixture(scope="session")
def golden() -> Golden:
    with np.load(GOLDEN / "cases.npz") as arrays:
        ids = [name.removeprefix("gt_") for name in arrays.files if name.startswith("gt_")]
        cases = {name: (arrays[f"prob_{name}"], arrays[f"gt_{name}"]) for name in ids}
    expected = json.loads((GOLDEN / "expected.json").read_text(encoding="utf-8"))
    ispanet = expected["ispanet"]
    return Golden(
        cases, expected["sets"], ispanet["per_case"], ispanet["per_set"], expected["roc200"]
    )


@dataclass(frozen=True)
class Published:
    """What published codes give on the same cases, and what we count on them.

    Attributes:
        codes: by implementation `per_case` and `per_set`; an object with `error` where it raised.
        hierarchical: the toolkit of hierarchical IoU, and its corrected variant.
        images: probability and mask by id; `mosaic1024` is one image of sixteen others.
        sets: ids of the images of each set.
        suite: has counted `images` in this order by every convention.
    """

    codes: dict[str, Any]
    hierarchical: dict[str, Any]
    images: dict[str, tuple[np.ndarray, np.ndarray]]
    sets: dict[str, list[str]]
    suite: MetricSuite

    def figures(self, convention: str, ids: list[str]) -> dict[str, float]:
        """Figures of some of the images."""
        order = list(self.images)
        sums = self.suite.table(convention)[[order.index(name) for name in ids]].sum(axis=0)
        return {key: float(x) for key, x in self.suite.figures(convention, sums).items()}

    def entries(self, code: dict[str, Any]) -> Iterator[tuple[str, list[str], dict[str, Any]]]:
        """Name, images and values of every case and set of an implementation."""
        for name, values in code["per_case"].items():
            yield name, [name], values
        for name, values in code["per_set"].items():
            yield name, self.sets[name], values


@pytest.fixture(scope="session")
def published(golden: Golden) -> Published:
    texts = [(GOLDEN / f"{name}.json").read_text("utf-8") for name in ("published", "hierarchical")]
    grid = np.reshape(golden.sets["s256"], (4, 4)).tolist()
    mosaic = [np.block([[golden.cases[x][side] for x in row] for row in grid]) for side in (0, 1)]
    images = golden.cases | {"mosaic1024": (mosaic[0], mosaic[1])}
    suite = MetricSuite(list(CONVENTIONS))
    for probability, mask in images.values():
        suite.update(probability, mask)
    codes, hierarchical = (json.loads(text) for text in texts)
    sets = golden.sets | {"mosaic1024": ["mosaic1024"]}
    return Published(codes, hierarchical, images, sets, suite)


class Slow:
    """The definitions, pixel by pixel in rational arithmetic, every matching tried."""

    @staticmethod
    def components(mask: np.ndarray) -> list[list[tuple[int, int]]]:
        left = {(int(r), int(c)) for r, c in np.argwhere(mask)}
        found = []
        for start in sorted(left):
            if start not in left:
                continue
            left.remove(start)
            part, waiting = [], [start]
            while waiting:
                row, col = waiting.pop()
                part.append((row, col))
                for near in product((row - 1, row, row + 1), (col - 1, col, col + 1)):
                    if near in left:
                        left.remove(near)
                        waiting.append(near)
            found.append(sorted(part))
        return found

    @staticmethod
    def squared_distance(a: list[tuple[int, int]], b: list[tuple[int, int]]) -> Fraction:
        centres = [
            [Fraction(sum(pixel[axis] for pixel in part), len(part)) for axis in (0, 1)]
            for part in (a, b)
        ]
        return sum(((x - y) ** 2 for x, y in zip(centres[0], centres[1], strict=True)), Fraction(0))

    @classmethod
    def match(cls, squared: list[list[Fraction | None]]) -> list[tuple[int, int]]:
        """Best of all one-to-one matchings of the pairs that are not None: rows to columns."""

        def rank(pairs: list[tuple[int, int]]) -> tuple[int, Decimal, list[tuple[int, int]]]:
            total = Decimal(0)
            for row, col in pairs:
                value = squared[row][col]
                assert value is not None
                total += (Decimal(value.numerator) / Decimal(value.denominator)).sqrt()
            return -len(pairs), total.quantize(Decimal("1e-25")), pairs

        with localcontext(prec=50):
            return min(cls._matchings(squared, 0, frozenset()), key=rank)

    @classmethod
    def _matchings(
        cls, squared: list[list[Fraction | None]], row: int, used: frozenset[int]
    ) -> Iterator[list[tuple[int, int]]]:
        if row == len(squared):
            yield []
            return
        yield from cls._matchings(squared, row + 1, used)
        for col, value in enumerate(squared[row]):
            if value is not None and col not in used:
                for rest in cls._matchings(squared, row + 1, used | {col}):
                    yield [(row, col), *rest]

    @classmethod
    def pairs(
        cls, target: np.ndarray, predicted: np.ndarray, distance: Fraction
    ) -> list[tuple[int, int]]:
        squared: list[list[Fraction | None]] = []
        for g in cls.components(target):
            row = [cls.squared_distance(g, q) for q in cls.components(predicted)]
            squared.append([value if value <= distance**2 else None for value in row])
        return cls.match(squared)

    @classmethod
    def figures(
        cls, images: list[tuple[np.ndarray, np.ndarray]], distance: Fraction
    ) -> dict[str, Fraction | None]:
        """All figures of (predicted, target) pairs of boolean images; None for 0/0."""
        tp = fp = fn = pixels = targets = components = matched = unmatched = 0
        empty = false_on_empty = 0
        overlaps: list[Fraction] = []
        ious: list[Fraction] = []
        for predicted, target in images:
            p, t = ({(int(r), int(c)) for r, c in np.argwhere(x)} for x in (predicted, target))
            gs, qs = cls.components(target), cls.components(predicted)
            pairs = cls.pairs(target, predicted, distance)
            tp, fp, fn = tp + len(p & t), fp + len(p - t), fn + len(t - p)
            pixels += target.size
            targets, components = targets + len(gs), components + len(qs)
            matched += len(pairs)
            unmatched += sum(len(q) for j, q in enumerate(qs) if j not in {x[1] for x in pairs})
            for g in gs:
                union = {pixel for q in qs if set(q) & set(g) for pixel in q}
                overlaps.append(Fraction(len(union & set(g)), len(union | set(g))))
            if p | t:
                ious.append(Fraction(len(p & t), len(p | t)))
            if not gs:
                empty, false_on_empty = empty + 1, false_on_empty + len(qs)

        def ratio(a: Fraction | int, b: int) -> Fraction | None:
            return Fraction(a, b) if b else None

        return {
            "iou": ratio(tp, tp + fp + fn),
            "precision": ratio(tp, tp + fp),
            "recall": ratio(tp, tp + fn),
            "f1": ratio(2 * tp, 2 * tp + fp + fn),
            "niou_target": ratio(sum(overlaps, Fraction(0)), len(overlaps)),
            "niou_image": ratio(sum(ious, Fraction(0)), len(ious)),
            "pd": ratio(matched, targets),
            "md": ratio(targets - matched, targets),
            "pa": ratio(matched, components),
            "fa_target": ratio(components - matched, components),
            "f1_target": ratio(2 * matched, targets + components),
            "fa_pixel": ratio(unmatched, pixels),
            "fa_pixel_all": ratio(fp, pixels),
            "n_images": Fraction(len(images)),
            "n_targets": Fraction(targets),
            "n_predicted": Fraction(components),
            "n_empty_images": Fraction(empty),
            "false_on_empty": Fraction(false_on_empty),
        }


@pytest.fixture(scope="session")
def slow() -> type[Slow]:
    return Slow
