"""The tables of docs/metrics.md that follow from the conventions.

Run: python benchmarks/metrics_page.py
"""

from collections import defaultdict
from math import isinf
from pathlib import Path

from irstd.evaluation.summary import Table
from irstd.metrics.conventions import CONVENTIONS, Convention
from irstd.metrics.defects import DEFECTS
from irstd.metrics.figures import Figure, Harmonic, Ratio, RocArea, Total
from irstd.stages.publish import update_readme

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"
PAIRS: dict[str | None, str] = {
    None: "",
    "nearest": "largest one-to-one matching at most d apart, least total distance",
    "first_fit": "first unused component closer than d, in raster order",
    "half_diameter": "first target closer than half its equivalent diameter; components share it",
    "corner_window": "any predicted pixel in rows r-2, r-1 and columns c-2, c-1, (r, c) rounded",
    "box_centres": "shared pixel and box centres at most d apart; many to many",
    "opdc": "assignment by distance, IoU >= 1/2 kept; the rest again, closer than d",
    "opdc_exact": "all with IoU >= 1/2; the rest as `nearest`, closer than d",
}


def sum_text(terms: str) -> str:
    """A sum of counts as it is read: "tp fp" is "tp + fp"."""
    return " + ".join(terms.split()).replace("+ -", "- ").replace("*", " ")


def formula(figure: Figure) -> str:
    """A figure as it is read."""
    match figure:
        case Total(terms):
            return sum_text(terms)
        case Ratio():
            epsilon = f" + {figure.epsilon:g}" if figure.epsilon else ""
            below = sum_text(figure.denominator) + epsilon
            below = f"({below})" if " " in below else below
            above = sum_text(figure.numerator)
            above = f"({above})" if " + " in above or " - " in above else above
            zero = ", 0/0 = 0" if figure.empty == 0 else ""
            needs = f", undefined without {figure.needs}" if figure.needs else ""
            return f"{above} / {below}{zero}{needs}"
        case Harmonic(first, second, epsilon):
            extra = f" + {epsilon:g}" if epsilon else ""
            return f"2 a b / (a + b{extra}), a = {formula(first)}, b = {formula(second)}"
        case RocArea(epsilon):
            return (
                f"trapezoids under TP / (TP + FN + {epsilon:g}) over FP / (FP + TN + {epsilon:g})"
            )


def peculiarities(convention: Convention) -> str:
    """What else tells a convention from the default."""
    said = {
        "p rounded to 8 bit, p >= threshold": convention.eight_bit,
        "images without target only counted as images": convention.targets_only,
        "`size` may be stated": convention.sized,
        "d may be chosen": convention.distance_open,
        f"ROC at k / {convention.curve_steps}": convention.curve_steps,
    }
    return "; ".join(text for text, holds in said.items() if holds)


def conventions_table() -> Table:
    """A row per convention."""
    rows = [
        (
            f"`{name}`", c.source, PAIRS[c.rule],
            "" if isinf(c.distance_px) else f"{c.distance_px:g}",
            peculiarities(c), ", ".join(c.defects),
        )
        for name, c in CONVENTIONS.items()
    ]  # fmt: skip
    head = ("Name", "Source", "Target and component are a pair", "d, px", "Besides", "Defects")
    return Table(head, tuple(rows))


def figures_table() -> Table:
    """A row per figure that a published code prints, with those that print it so."""
    users = defaultdict(list)
    for name, convention in CONVENTIONS.items():
        for printed, key in convention.published_names.items():
            users[printed, key, formula(convention.figures[key])].append(name)
    rows = [(*row, ", ".join(names)) for row, names in sorted(users.items())]
    return Table(("Printed", "Key", "Formula", "Conventions"), tuple(rows))


def defects_table() -> Table:
    """A row per defect."""
    return Table(("", "Defect"), tuple(DEFECTS.items()))


TABLES = {"conventions": conventions_table, "figures": figures_table, "defects": defects_table}
"""Tables by the name in the markers of the page."""


def main() -> None:
    """Write the tables into the page."""
    update_readme(PAGE, {name: table().markdown() for name, table in TABLES.items()})


if __name__ == "__main__":
    main()
