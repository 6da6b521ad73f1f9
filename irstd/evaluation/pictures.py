"""Pictures for a page that is kept in git: small files."""

import cv2
import numpy as np

from irstd.errors import DataError

SHRINK = 0.85
BEST_COMPRESSION = [int(cv2.IMWRITE_PNG_COMPRESSION), 9]


def shrink_png(png: bytes, limit: int) -> bytes:
    """Reduce a PNG until it has at most `limit` bytes; one that has is returned as it is.

    Args:
        png: content of a PNG file.
        limit: in bytes, enough for a picture of some pixels.

    Raises:
        DataError: the content is damaged.
    """
    pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise DataError(
            f"expected the content of a PNG file, got {len(png)} bytes of another kind; "
            "run `irstd evaluate` again"
        )
    size = pixels.shape[:2]
    while len(png) > limit and min(size) > 1:
        size = (max(1, int(size[0] * SHRINK)), max(1, int(size[1] * SHRINK)))
        smaller = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA)
        png = cv2.imencode(".png", smaller, BEST_COMPRESSION)[1].tobytes()
    return png
