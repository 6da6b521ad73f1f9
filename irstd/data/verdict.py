"""What Great Expectations says of a prepared data set."""

import json
import os
from dataclasses import dataclass
from typing import Any

import pandas as pd

from irstd.config import Severity, ValidateParams
from irstd.data.expectations import Check, checks
from irstd.errors import DataError

NAMED_ROWS = 20
"""At most so many rows are named per failed expectation."""


@dataclass(frozen=True)
class Outcome:
    """The verdict on one expectation.

    Attributes:
        key: its name.
        meaning: what must hold.
        severity: what its failure does.
        success: whether it holds.
        observed: the observed figure, None for expectations on single rows.
        n_unexpected: rows that violate it, 0 for expectations on a figure.
        unexpected_rows: the first of those rows: id and what violates.
    """

    key: str
    meaning: str
    severity: Severity
    success: bool
    observed: Any
    n_unexpected: int
    unexpected_rows: tuple[dict[str, Any], ...]

    def __str__(self) -> str:
        text = f"{self.key}: {self.meaning}"
        if not self.n_unexpected:
            return f"{text}: observed {self.observed}"
        rest = self.n_unexpected - len(self.unexpected_rows)
        more = [f"and {rest} more"] if rest else []
        named = ", ".join([*(_name(row) for row in self.unexpected_rows), *more])
        return f"{text}: violated by {self.n_unexpected}: {named}"


def judge(
    table: pd.DataFrame, limits: ValidateParams
) -> tuple[tuple[Outcome, ...], dict[str, Any]]:
    """Let Great Expectations judge the table; nothing is written anywhere.

    Args:
        table: the table of `irstd.data.audit.audit`.
        limits: limits and severities.

    Returns:
        The outcomes in the order of `checks`, and the whole result of Great Expectations as JSON
        holds it (for `irstd.data.datadocs`).

    Raises:
        DataError: an expectation could not be judged.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read when the package is imported
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("prepared").add_dataframe_asset("index")
    batch = asset.add_batch_definition_whole_dataframe("all rows")
    wanted = checks(limits)
    suite = gx.ExpectationSuite("index", expectations=[_build(check, limits) for check in wanted])
    validation = gx.ValidationDefinition(name="index", data=batch, suite=context.suites.add(suite))
    judged = validation.run(
        batch_parameters={"dataframe": table},
        result_format={
            "result_format": "SUMMARY",
            "partial_unexpected_count": NAMED_ROWS,
            "unexpected_index_column_names": ["id"],
        },
    )
    result = _plain(judged)
    by_key = {item["expectation_config"]["meta"]["key"]: item for item in result["results"]}
    return tuple(_outcome(check, by_key[check.key], limits) for check in wanted), result


def _name(row: dict[str, Any]) -> str:
    facts = ", ".join(f"{column} {value}" for column, value in row.items() if column != "id")
    return f"{row['id']} ({facts})" if facts else str(row["id"])


def _build(check: Check, limits: ValidateParams) -> Any:
    import great_expectations.expectations as gxe

    severity = getattr(limits.severity, check.key)
    return getattr(gxe, check.kind)(
        **check.arguments,
        severity={"stop": "critical", "warn": "warning"}[severity],
        description=f"{check.key} ({severity}): {check.meaning}",
        meta={"key": check.key},
    )


def _outcome(check: Check, judged: dict[str, Any], limits: ValidateParams) -> Outcome:
    found = judged["result"]
    if not found:
        raise DataError(
            f"{check.key}: expected a verdict of Great Expectations, "
            f"got {judged['exception_info']}; run `irstd prepare` again"
        )
    return Outcome(
        key=check.key,
        meaning=check.meaning,
        severity=getattr(limits.severity, check.key),
        success=bool(judged["success"]),
        observed=found.get("observed_value"),
        n_unexpected=int(found.get("unexpected_count", 0)),
        unexpected_rows=tuple(found.get("partial_unexpected_index_list") or ()),
    )


def _plain(judged: Any) -> dict[str, Any]:
    """The result with plain numbers instead of NumPy's, and None for NaN."""
    text = json.dumps(judged.to_json_dict())
    result: dict[str, Any] = json.loads(text, parse_constant=lambda name: None)
    return result
