"""`irstd data list`: the data sets that can be read, and those that nobody can get."""

from irstd.data.sources import NOT_OFFERED, SOURCES, Source


def list_data() -> str:
    """Each data set with counts, splits, licence and where to get it, as text."""
    offered = "\n\n".join(_described(name, source) for name, source in SOURCES.items())
    missing = "\n".join(f"  {name}: {reason}" for name, reason in NOT_OFFERED.items())
    return f"{offered}\n\nnot offered:\n{missing}"


def _described(name: str, source: Source) -> str:
    sizes = "" if source.size is None else f", {source.size[0]} x {source.size[1]}"
    sequences = "" if source.n_sequences is None else f"{source.n_sequences} sequences, "
    splits = ", ".join(
        f"{split} ({' / '.join(_count(part.count) for part in lists.values())})"
        for split, lists in source.splits.items()
    )
    counts = f"{_count(source.n_images)} images, {_count(source.n_targets)} targets"
    return "\n".join(
        (
            f"{name}: {source.title}",
            f"  {sequences}{counts}{sizes}",
            f"  layouts: {'; '.join(source.layouts) or 'any'}",
            f"  splits: {splits}",
            *(f"  not offered: {split}: {reason}" for split, reason in source.left_out.items()),
            f"  licence: {source.licence}",
            f"  from: {source.home}",
        )
    )


def _count(number: int | None) -> str:
    return "?" if number is None else str(number)
