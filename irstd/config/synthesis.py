"""The groups of synthesised data: a source of its own, and targets added to training images."""

from typing import Annotated, Literal

from pydantic import Field

from irstd.config.values import FactorRange, Group, ObjectRange, PositiveRange, Share, Side

Motion = Annotated[float, Field(ge=0.0, le=100.0)]
NO_MATERIAL = "data/raw/synthesis"
Material = Annotated[str, Field(pattern=rf"^({NO_MATERIAL}|data/processed/[a-z0-9][a-z0-9_-]*)$")]


class SimulatedTargets(Group):
    """Point-spread functions (`irstd.data.targets`)."""

    name: Literal["simulated"]
    psf_sigma_px: FactorRange


class PastedTargets(Group):
    """Real targets, cut out of training images, turned and scaled in brightness."""

    name: Literal["pasted"]


TargetParams = Annotated[SimulatedTargets | PastedTargets, Field(discriminator="name")]


class GeneratedBackgrounds(Group):
    """Generated scenes (`irstd.data.backgrounds`) with hot clutter."""

    name: Literal["generated"]
    clutter_per_image: ObjectRange


class PreparedBackgrounds(Group):
    """Training images with their targets removed."""

    name: Literal["prepared"]


BackgroundParams = Annotated[
    GeneratedBackgrounds | PreparedBackgrounds, Field(discriminator="name")
]


class CameraParams(Group):
    """How the line of sight moves over the scene of a sequence.

    Attributes:
        speed_px: largest constant motion from frame to frame.
        jitter_px: standard deviation of the shake in each frame, along rows and along columns.
    """

    speed_px: Motion
    jitter_px: Motion


class SynthesisParams(Group):
    """The synthesised source (`irstd.data.synthesis`).

    Attributes:
        images: in all.
        frames: of a sequence; 1: single images.
        material: folder of a profile's prepared images, whose training part gives backgrounds and
            pasted targets; `NO_MATERIAL`, which holds no images, where neither is asked for. It is
            a path, so that DVC can depend on it.
        scr: range of the targets' signal-to-clutter ratio.
        noise_std: temporal noise, fraction of full scale; the fixed pattern follows from it.
    """

    images: Annotated[int, Field(ge=3, le=100_000)]
    frames: Annotated[int, Field(ge=1, le=1000)]
    height: Side
    width: Side
    train: Share
    val: Share
    material: Material
    backgrounds: BackgroundParams
    targets: TargetParams
    targets_per_image: ObjectRange
    empty_share: Share
    scr: PositiveRange
    noise_std: Annotated[float, Field(gt=0.0, le=1.0)]
    camera: CameraParams


class AddedTargetsParams(Group):
    """Targets added to training images before they are cropped (`irstd.data.synthesis_augment`).

    Attributes:
        share: of the images that get some.
        count: targets added to such an image; one that finds no place is left out.
        scr: range of their signal-to-clutter ratio.
        targets: what is added.
    """

    share: Share
    count: ObjectRange
    scr: PositiveRange
    targets: TargetParams
