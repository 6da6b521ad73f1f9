"""`irstd data sample`: a sheet of sample images of a folder, with their targets outlined."""

import tempfile
from pathlib import Path

import numpy as np

from irstd.data.check import guess_source
from irstd.data.drift import sample
from irstd.data.faults import FaultLog, read_images
from irstd.data.layouts import open_contents
from irstd.data.listing import Listed
from irstd.data.sheet import draw_samples, sample_rows
from irstd.data.store import PreparedData, write_prepared
from irstd.errors import DataError
from irstd.files import replaced


def sample_data(folder: Path, output: Path, count: int = 12, seed: int = 0) -> int:
    """Draw some images of a folder, whatever its layout, into one PNG file.

    Args:
        folder: images with ground truth.
        output: the file to write.
        count: images to draw; those with faults are left out.
        seed: of the choice.

    Returns:
        Number of images drawn.

    Raises:
        DataError: no layout fits, or none of the chosen images can be read.
    """
    contents = open_contents(folder)
    items = [Listed(entry, entry.part or "test") for entry in contents.entries.values()]
    rng = np.random.default_rng(seed)
    chosen = [items[place] for place in sample(range(len(items)), count, rng)]
    with tempfile.TemporaryDirectory(prefix="irstd-sample-") as scratch:
        log = FaultLog("quarantine")
        images = list(read_images(contents, chosen, log))
        if not images:
            faults = "; ".join(f"{fault.file}: {fault.reason}" for fault, _ in log.entries[:3])
            raise DataError(f"{folder}: none of {len(chosen)} images can be read: {faults}")
        write_prepared(Path(scratch), iter(images), guess_source(contents))
        data = PreparedData(Path(scratch))
        sheet = draw_samples(data, sample_rows(data, count))
        with replaced(output) as temporary:
            sheet.savefig(temporary, format="png")
    return len(images)
