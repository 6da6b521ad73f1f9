"""The group `drift`."""

from typing import Annotated

from pydantic import Field

from irstd.config.values import Group, OpenShare

Images = Annotated[int, Field(ge=20, le=2000)]


class DriftParams(Group):
    """How a new batch is compared with the training part (`irstd.data.drift`).

    Attributes:
        false_alarm_rate: largest probability that any change is found though there is none.
        least_images: fewer, in either batch, are not judged.
        most_images: more are sampled down to it: it bounds the cost, and what is small enough not
            to matter (500 against 500 images find a distance of distributions of about 0.13).
    """

    false_alarm_rate: OpenShare
    least_images: Images
    most_images: Images
