"""Clips: the frames around an image of a sequence, as a network of clips takes them.

What stands for frames before the first and behind the last, by `border`:

| border | rule | published by |
|---|---|---|
| wrap | indices run modulo the length: the first frames see the last ones | LMAFormer, SGMP-UNet |
| repeat | the first or the last frame again | DTUM (IRDST) |
| reverse | at the start the clip is turned round in time: i + 4, ..., i for i - 4, ..., i | DTUM \
(SatVideoIRSDT) |

What `reverse` leaves outside (a short sequence, the end) is repeated. An image that belongs to no
sequence is a sequence of one frame.

The frames of prepared sequences follow each other by number. For a missing one (left out by
`data.limit`, faulty, or without ground truth) the nearest stands, of two the earlier one. Where
less than half of the frames are there, clips would say little about motion and are refused.
"""

import logging
from collections.abc import Iterable, Iterator

import numpy as np

from irstd.data.store import PreparedData, Sequence
from irstd.errors import DataError
from irstd.types import Border

log = logging.getLogger(__name__)


def clip_positions(
    position: int, length: int, frames: int, target_frame: int, border: Border = "wrap"
) -> list[int]:
    """Positions of a clip's frames within a sequence.

    Args:
        position: of the frame that is segmented, from 0.
        length: frames of the sequence.
        frames: frames of the clip.
        target_frame: place of that frame in the clip, from 0.
        border: what stands for frames outside the sequence.
    """
    offsets = np.arange(frames) - target_frame
    if border == "wrap":
        positions = (position + offsets) % length
    else:
        if border == "reverse" and position < target_frame:
            offsets = -offsets
        positions = np.clip(position + offsets, 0, length - 1)
    return [int(index) for index in positions]


def clip_rows(
    data: PreparedData, row: int, frames: int, target_frame: int, border: Border = "wrap"
) -> list[int]:
    """Rows of the clip around an image, in the order of the frames; see `clip_positions`.

    Raises:
        DataError: less than half of the sequence's frames are there.
    """
    sequence = data.sequence_of(row)
    _check_dense(data, sequence)
    place = int(np.flatnonzero(sequence.rows == row)[0])
    position = int(sequence.frames[place] - sequence.frames[0])
    positions = clip_positions(position, sequence.span, frames, target_frame, border)
    numbers = sequence.frames[0] + np.array(positions)
    return [int(sequence.rows[near]) for near in _nearest(sequence.frames, numbers)]


def check_clips(data: PreparedData, rows: Iterable[int]) -> None:
    """Refuse sequences that clips cannot be made of, and log how many frames others lack.

    Args:
        data: prepared images.
        rows: images whose clips will be read.

    Raises:
        DataError: less than half of the frames of a sequence are there.
    """
    sequences = {int(found.rows[0]): found for found in map(data.sequence_of, map(int, rows))}
    for sequence in sequences.values():
        _check_dense(data, sequence)
    missing = [sequence.missing for sequence in sequences.values() if sequence.missing]
    if missing:
        log.warning(
            "%s: %d frames are missing in %d of %d sequences; the nearest stands for each",
            data.folder,
            sum(missing),
            len(missing),
            len(sequences),
        )


def _check_dense(data: PreparedData, sequence: Sequence) -> None:
    if 2 * sequence.missing > sequence.span:
        name = data.index["sequence"].iloc[int(sequence.rows[0])]
        raise DataError(
            f"{data.folder}: the frames of sequence {name} are not consecutive: of frames "
            f"{sequence.frames[0]} to {sequence.frames[-1]}, {sequence.missing} are missing; a "
            "network of clips needs at least half of them: label more, or take one of single frames"
        )


def _nearest(frames: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Positions in ascending `frames` of what is nearest to each number; of two the earlier."""
    after = np.searchsorted(frames, numbers)
    before = np.maximum(after - 1, 0)
    after = np.minimum(after, len(frames) - 1)
    return np.where(numbers - frames[before] <= np.abs(frames[after] - numbers), before, after)


def read_clip(
    data: PreparedData, row: int, frames: int, target_frame: int, border: Border = "wrap"
) -> np.ndarray:
    """What a network takes for an image: (H, W) if `frames` is 1, else (T, H, W).

    Raises:
        DataError: the frames differ in size or dtype, or less than half of them are there.
    """
    if frames == 1:
        return data.image(row)
    rows = clip_rows(data, row, frames, target_frame, border)
    return stack_frames([data.image(index) for index in rows], str(data.index["id"].iloc[row]))


def sliding_clips(
    images: Iterable[np.ndarray],
    frames: int,
    target_frame: int,
    name: str,
    border: Border = "wrap",
) -> Iterator[tuple[int, np.ndarray]]:
    """The clip of every frame of a sequence that is read once, front to back.

    Only as many frames are held as the clips at the two ends need, whatever the length.

    Args:
        images: frames (H, W).
        frames: frames of a clip.
        target_frame: place of the segmented frame in the clip, from 0.
        name: of the sequence, for messages.
        border: what stands for frames outside the sequence.

    Yields:
        Position of the segmented frame and its clip (T, H, W): first the frames whose clip lies
        inside the sequence, then those at the ends.

    Raises:
        DataError: the frames differ in size or dtype.
    """
    window: list[np.ndarray] = []
    first: list[np.ndarray] = []
    count, reach = 0, 2 * frames  # a clip turned round reaches that far
    for count, image in enumerate(images, start=1):
        window = [*window, image][-reach:]
        if len(first) < reach:
            first.append(image)
        if count >= frames:
            yield count - frames + target_frame, stack_frames(window[-frames:], name)
    held = dict(enumerate(first))
    held |= {count - len(window) + index: image for index, image in enumerate(window)}
    done = range(target_frame, count - frames + target_frame + 1)
    for position in range(count):
        if position not in done:
            rows = clip_positions(position, count, frames, target_frame, border)
            yield position, stack_frames([held[row] for row in rows], name)


def stack_frames(images: list[np.ndarray], name: str) -> np.ndarray:
    """(T, H, W) of frames that belong together.

    Args:
        images: (H, W) each.
        name: of the sequence, for messages.

    Raises:
        DataError: they differ in size or dtype.
    """
    kinds = {(*image.shape, str(image.dtype)) for image in images}
    if len(kinds) > 1:
        raise DataError(
            f"{name}: the frames of a sequence must have one size and dtype, "
            f"got {sorted(kinds)}; split the sequence where they change"
        )
    return np.stack(images)
