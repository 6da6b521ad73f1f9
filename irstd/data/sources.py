"""The published data sets: what they hold, their split lists, and where to get them.

How the files of a folder are arranged is found by `irstd.data.layouts`; here stands what the
publications state. Counts are None where none is stated. A data set more is one more entry of
`SOURCES`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from irstd.data.pixels import Grey
from irstd.errors import DataError

Origin = Literal["pixels", "boxes", "points"]
"""What the ground truth states; from boxes and points only detection can be measured."""


@dataclass(frozen=True)
class RawImage:
    """One image of a source with its ground truth.

    Attributes:
        id: identifier, unique within the source.
        split: `train`, `val` or `test`.
        image: (H, W) grey values, uint8 or uint16.
        mask: (H, W), 1 on target pixels, 0 elsewhere; where the ground truth is no mask, boxes
            filled or one pixel per point, for training only.
        sequence: name of the video it belongs to, None for a single frame.
        frame: position in that video, counted from 0, None for a single frame.
        background: kind of background, None where the source does not state it.
        repaired: what was repaired in it, empty if nothing.
        mask_origin: what the ground truth states; "pixels" if it is a mask.
        centres: (row, col) of each target, pixel centres at integers, where the ground truth is
            boxes or points; None where the mask states the targets.
    """

    id: str
    split: str
    image: Grey
    mask: UInt8[np.ndarray, "h w"]
    sequence: str | None = None
    frame: int | None = None
    background: str | None = None
    repaired: str = ""
    mask_origin: Origin = "pixels"
    centres: tuple[tuple[float, float], ...] | None = None


@dataclass(frozen=True)
class Fault:
    """Something wrong with one image, one file or one listed id.

    Attributes:
        id: identifier, as the split list or the name of the file has it.
        file: path of the faulty file, relative to the source's folder, with forward slashes.
        reason: what was expected and what came.
    """

    id: str
    file: str
    reason: str


@dataclass(frozen=True)
class SplitList:
    """One part of a published split.

    Attributes:
        files: the places where copies of the data set keep its list, relative to their folder; a
            folder holds one of them. Empty where the folders themselves state the part.
        count: images, or lines of the list where they name whole sequences; None if not stated.
    """

    files: tuple[str, ...]
    count: int | None


Splits = Mapping[str, Mapping[str, SplitList]]


@dataclass(frozen=True)
class Source:
    """Published facts of one data set.

    Attributes:
        title: name and reference.
        home: where to get it.
        n_images: images as published.
        n_targets: targets as published.
        splits: for each split name the lists of `train`, `test` and, if it has one, `val`.
        layouts: codes of `irstd.data.layouts` that copies of it have; empty for any.
        id_pattern: regular expression that all ids match, None where they say nothing.
        size: (height, width) of every image, None where sizes differ or are not stated.
        licence: what the publication states of the data.
        repository: git repository that holds the images themselves.
        n_sequences: sequences as published; None for single frames or where none is stated.
        left_out: published lists that are not offered as a split, each with the reason.
    """

    title: str
    home: str
    n_images: int | None
    n_targets: int | None
    splits: Splits
    layouts: tuple[str, ...]
    id_pattern: str | None = None
    size: tuple[int, int] | None = None
    licence: str = "none stated; ask the authors before passing it on"
    repository: str | None = None
    n_sequences: int | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)


FLAT, SCENES = "L1, L3, L5, L6", "L12, V2"
"""Codes of the layouts of `images/` and `masks/`, without and with a folder for each sequence."""


def _lists(train: int | None, test: int | None, *pairs: tuple[str, str]) -> dict[str, SplitList]:
    """A split of two lists, and the pairs of places where copies keep them."""
    return {
        "train": SplitList(tuple(first for first, _ in pairs), train),
        "test": SplitList(tuple(second for _, second in pairs), test),
    }


def _named(name: str) -> tuple[tuple[str, str], ...]:
    """Where copies in the layouts L3, L4 and L6 keep the lists of a data set."""
    return (
        (f"img_idx/train_{name}.txt", f"img_idx/test_{name}.txt"),
        (f"train_{name}.txt", f"test_{name}.txt"),
        ("img_idx/train.txt", "img_idx/test.txt"),
        ("trainval.txt", "test.txt"),
        ("train.txt", "test.txt"),
    )


def _sirst(name: str, *counts: int) -> dict[str, SplitList]:
    return {
        part: SplitList((f"splits/{name}_{part}.txt", f"{name}/{part}.txt"), count)
        for part, count in zip(("train", "val", "test"), counts, strict=True)
    }


NUDT_IDS = r"00(?:0\d{3}|1[012]\d\d|13[01]\d|132[0-7])"
"""Six digits, 000001 to 001327."""

BY_FOLDER: Splits = {"folders": _lists(None, None)}

SEQUENCES: Splits = {
    "folders": {part: SplitList((), None) for part in ("train", "val", "test")},
}

SOURCES: Mapping[str, Source] = {
    "sirst": Source(
        title="SIRST: Dai et al., Asymmetric Contextual Modulation, WACV 2021, arXiv:2009.14530",
        home="https://github.com/YimianDai/sirst",
        repository="https://github.com/YimianDai/sirst.git",
        n_images=427,
        n_targets=533,
        layouts=(FLAT, "L4"),
        id_pattern=r"Misc_\d+",
        splits={
            "idx_427": _sirst("idx_427", 256, 85, 86),
            "idx_320": _sirst("idx_320", 160, 64, 96),
            "nuaa": _lists(
                213,
                214,
                ("splits/nuaa_213_train.txt", "splits/nuaa_214_test.txt"),
                ("50_50/train.txt", "50_50/test.txt"),
                *_named("NUAA-SIRST"),
            ),
            "pqgnet": _lists(341, 85, *_named("NUAA-SIRST")),
        },
        left_out={
            "trainval": "`train` and `val` of the same split together; no list of its own",
            "trainvaltest": "all images of the split",
        },
    ),
    "sirst_v2": Source(
        title="SIRST-V2: Dai et al., One-Stage Cascade Refinement Networks, IEEE TGRS 2023",
        home="https://github.com/YimianDai/open-sirst-v2",
        repository="https://github.com/YimianDai/open-sirst-v2.git",
        n_images=1024,
        n_targets=648,
        layouts=("L2",),
        splits={
            "full": {
                part: SplitList((f"splits/{part}_full.txt",), count)
                for part, count in (("train", 512), ("val", 256), ("test", 256))
            },
            "v1": {
                part: SplitList((f"splits/{part}_v1.txt",), count)
                for part, count in (("train", 256), ("val", 85), ("test", 86))
            },
            "targets": _lists(
                411, 103, ("splits/trainval_v1fullv2target.txt", "splits/test_v1fullv2target.txt")
            ),
        },
        left_out={
            "trainval": "`train` and `val` of the same split together; no list of its own",
            "v2background": "the 510 images without targets, in one list that has no parts",
        },
    ),
    "sirst_v2_field": Source(
        title="SIRST-V2 (IEEE TGRS 2023): 44 images with and 53 without targets, for tests only",
        home="selected from https://github.com/YimianDai/open-sirst-v2",
        n_images=97,
        n_targets=None,
        layouts=("field",),
        splits={"field": {"test": SplitList((), 97)}},
    ),
    "sirst_aug": Source(
        title="SIRST-Aug: T. Zhang et al., AGPCNet, IEEE TAES 2023, 10.1109/TAES.2023.3238703",
        home="drives named in https://github.com/Tianfang-Zhang/AGPCNet",
        n_images=None,
        n_targets=None,
        layouts=("L7",),
        size=(256, 256),
        splits=BY_FOLDER,
    ),
    "irstd_1k": Source(
        title="IRSTD-1K: M. Zhang et al., ISNet, CVPR 2022",
        home="drive named in https://github.com/RuiZhang97/ISNet",
        n_images=1001,
        n_targets=1495,
        layouts=("L10", FLAT, "L4"),
        size=(512, 512),
        id_pattern=r"XDU\d+",
        licence="MIT",
        splits={"published": _lists(800, 201, *_named("IRSTD-1K"))},
    ),
    "nudt_sirst": Source(
        title="NUDT-SIRST: Li et al., Dense Nested Attention Network, IEEE TIP 2023, 2106.00487",
        home="drive named in https://github.com/YeRen123455/Infrared-Small-Target-Detection",
        n_images=1327,
        n_targets=None,
        layouts=(FLAT, "L4"),
        size=(256, 256),
        id_pattern=NUDT_IDS,
        splits={
            "published": _lists(
                663, 664, ("50_50/train.txt", "50_50/test.txt"), *_named("NUDT-SIRST")
            )
        },
    ),
    "nudt_sirst_sea": Source(
        title="NUDT-SIRST-Sea: Wu et al., MTU-Net, IEEE TGRS 2023, 10.1109/TGRS.2023.3235002",
        home="drive named in https://github.com/TianhaoWu16/"
        "Multi-level-TransUNet-for-Space-based-Infrared-Tiny-ship-Detection",
        n_images=5808,
        n_targets=17_598,
        layouts=(FLAT,),
        id_pattern=r"\d\d-\d\d-\d\d",
        splits={
            "published": _lists(
                4961,
                847,
                ("idx_4961+847/train.txt", "idx_4961+847/test.txt"),
                *_named("NUDT-SIRST-Sea"),
            )
        },
    ),
    "sirst3": Source(
        title="SIRST3: SIRST, NUDT-SIRST and IRSTD-1K together, as SCTransNet (IEEE TGRS 2024)",
        home="https://github.com/XinyiYing/BasicIRSTD",
        n_images=2755,
        n_targets=None,
        layouts=(FLAT, "L4"),
        id_pattern=rf"Misc_\d+|XDU\d+|{NUDT_IDS}",
        splits={"published": _lists(1676, 1079, *_named("SIRST3"))},
    ),
    "mfirst": Source(
        title="MFIRST (MDFA, NUST-SIRST): Wang et al., Miss Detection vs. False Alarm, ICCV 2019",
        home="https://github.com/wanghuanphd/MDvsFA_cGAN (six .rar parts, to be unpacked by hand)",
        n_images=10_100,
        n_targets=None,
        layouts=("L9", "L7", FLAT),
        splits={
            "folders": _lists(10_000, 100),
            "dnanet": _lists(10_000, 100, ("10000_100/train.txt", "10000_100/test.txt")),
        },
    ),
    "irdst_real": Source(
        title="IRDST, real part: Sun et al., RDIAN, IEEE TGRS 2023, 10.1109/TGRS.2023.3235150",
        home="drive named in https://github.com/sun11999/RDIAN",
        n_images=40_653,
        n_targets=None,
        layouts=("L11", SCENES),
        splits={
            "folders": _lists(None, None),
            "rdian": _lists(
                32_523, 8_130, ("real/train.txt", "real/test.txt"), *_named("IRDST-real")
            ),
        },
    ),
    "irdst_simulated": Source(
        title="IRDST, simulated part: Sun et al., RDIAN, IEEE TGRS 2023, 10.1109/TGRS.2023.3235150",
        home="drive named in https://github.com/sun11999/RDIAN",
        n_images=102_077,
        n_targets=None,
        layouts=("L11", SCENES),
        splits={
            "folders": _lists(None, None),
            "rdian": _lists(
                81_662,
                20_415,
                ("simulation/train.txt", "simulation/test.txt"),
                *_named("IRDST-simulation"),
            ),
            "scenes": _lists(82_892, 19_185, *_named("IRDST-simulation")),
        },
    ),
    "irdst_sequences": Source(
        title="IRDST, 58 real sequences: Huang et al., LMAFormer, IEEE TGRS 2024",
        home="drive named in https://github.com/lifier/LMAFormer",
        n_images=31_740,
        n_targets=None,
        layouts=(SCENES,),
        n_sequences=58,
        splits={
            "published": _lists(41, 17, ("ImageSets/train_new.txt", "ImageSets/val_new.txt")),
        },
    ),
    "nudt_mirsdt": Source(
        title="NUDT-MIRSDT: Li et al., Direction-Coded Temporal U-Shape Module, IEEE TNNLS 2023",
        home="drive named in https://github.com/TinaLRJ/Multi-frame-infrared-small-target-detection"
        "-DTUM",
        n_images=12_000,
        n_targets=None,
        layouts=("V1", SCENES),
        id_pattern=r"Sequence\d+_.+",
        splits={
            "dtum": _lists(8_000, 2_000, ("train.txt", "test.txt")),
            "lmaformer": _lists(84, 36, ("ImageSets/train_new.txt", "ImageSets/val_new.txt")),
        },
        n_sequences=120,
        left_out={
            "low SNR": "part of the test sequences of `dtum`, with SNR <= 3: 47, 56, 59, 76, 92, "
            "101, 105, 119; results are given for each sequence",
        },
    ),
    "tsirmt": Source(
        title="TSIRMT: Huang et al., LMAFormer, IEEE TGRS 2024, 10.1109/TGRS.2024.3502663",
        home="drive named in https://github.com/lifier/LMAFormer",
        n_images=None,
        n_targets=None,
        layouts=(SCENES,),
        splits={
            "published": _lists(140, 60, ("ImageSets/train_new.txt", "ImageSets/val_new.txt")),
        },
        n_sequences=200,
        left_out={
            "low SNR": "25 of the 60 test sequences; results are given for each sequence",
            "TSIRMT_tiny": "14 / 6 sequences of another data set's name; where its lists stand is "
            "not stated",
        },
    ),
    "satvideoirsdt": Source(
        title="SatVideoIRSDT, 10.57760/sciencedb.j00240.00077",
        home="https://doi.org/10.57760/sciencedb.j00240.00077",
        n_images=None,
        n_targets=None,
        layouts=("V3",),
        splits=SEQUENCES,
        n_sequences=1403,
    ),
    **{
        name: Source(
            title=f"{title}, boxes: {authors}",
            home=f"a drive that the authors of {authors} name; its address is not known here",
            n_images=n_images,
            n_targets=None,
            layouts=("V4",),
            splits=BY_FOLDER,
        )
        for name, title, authors, n_images in (
            ("irdst_h", "IRDST-H", "MoPKL (AAAI 2025)", None),
            ("daub_r", "DAUB-R", "MoPKL (AAAI 2025)", None),
            ("itsdt_15k", "ITSDT-15K", "MoPKL (AAAI 2025)", None),
            ("irstd_uav", "IRSTD-UAV", "TDCNet", 15_106),
        )
    },
    "folder": Source(
        title="a folder of one's own, in any of the known layouts",
        home="wherever it is",
        licence="the owner's",
        n_images=None,
        n_targets=None,
        layouts=(),
        splits={
            "given": {part: SplitList((), None) for part in ("train", "val", "test")},
            "seeded": {part: SplitList((), None) for part in ("train", "val", "test")},
        },
    ),
}

NOT_OFFERED: Mapping[str, str] = {
    "sirst_5k": "SIRST-5K (10.1109/TGRS.2024.3387125): only its generator is public",
    "irst640": "IRST640 (IRSTFormer, 10.3390/rs14143258): no public layout",
    "shr_irst": "SHR-IRST (ISPANet, 10.1109/JSTARS.2024.3381779): announced, not published; "
    "`irstd data build` makes one like it",
    "shac_irst": "SHAC-IRST (ISPANet): announced, not published",
    "irstd_air": "IRSTD-Air: a name in public code, without a layout",
    "sirst4_7": "SIRST4 to SIRST7: names in public code, without a layout",
}
"""Data sets that papers use and nobody can get, and why."""


def find_source(name: str) -> Source:
    """Look a source up.

    Raises:
        DataError: unknown name, or a data set without a public layout.
    """
    if name in NOT_OFFERED:
        raise DataError(f"{name} is not offered: {NOT_OFFERED[name]}; read your copy as 'folder'")
    if name not in SOURCES:
        raise DataError(f"unknown data set {name!r}; choose one of: {', '.join(sorted(SOURCES))}")
    return SOURCES[name]
