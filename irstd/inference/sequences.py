"""The clips of the images and videos a user names, read once from front to back."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from irstd.data.clips import sliding_clips
from irstd.data.pixels import Grey
from irstd.errors import DataError
from irstd.inference.inputs import Source, read_frames
from irstd.types import Border

OnFault = Callable[[Source, DataError], None]


@dataclass(frozen=True)
class Frame:
    """Where an image comes from.

    Attributes:
        source: its file.
        number: of the frame in a video, from 0; None for an image.
    """

    source: Source
    number: int | None


def find_sequences(sources: Sequence[Source], frames: int) -> list[list[Source]]:
    """What belongs together: a video, or, for a network of clips, the images of one folder.

    Args:
        sources: ordered by name; the frames of a folder follow one another in this order.
        frames: frames of the network's clips; 1: every image stands alone.
    """
    if frames == 1:
        return [[source] for source in sources]
    videos = [[source] for source in sources if source.is_video]
    images = sorted(
        (source for source in sources if not source.is_video),
        key=lambda source: (source.path.parent, source.name),
    )
    folders = groupby(images, key=lambda source: source.path.parent)
    return videos + [list(folder) for _, folder in folders]


def read_clips(
    sequence: Sequence[Source], clip: tuple[int, int, Border], on_fault: OnFault
) -> Iterator[tuple[Frame, np.ndarray]]:
    """Each frame of a sequence with what a network takes for it.

    A faulty file is left out; the frames around it become neighbours.

    Args:
        sequence: one of `find_sequences`.
        clip: see `irstd.inference.predictor.Predictor.clip`.
        on_fault: called with a file that cannot be read, or not to its end, and the error.

    Yields:
        The frame, and its image (H, W) or clip (T, H, W); see `sliding_clips` for the order.

    Raises:
        DataError: the frames differ in size or dtype.
    """
    read: list[Frame] = []

    def images() -> Iterator[Grey]:
        for source in sequence:
            try:
                for number, image in read_frames(source):
                    read.append(Frame(source, number))
                    yield image
            except DataError as error:
                on_fault(source, error)

    frames, target_frame, border = clip
    for position, stack in sliding_clips(images(), frames, target_frame, sequence[0].name, border):
        yield read[position], stack if frames > 1 else stack[0]
