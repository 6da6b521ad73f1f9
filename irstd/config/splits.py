"""The sources that can be read, each with its splits."""

from collections.abc import Mapping

SPLITS: Mapping[str, tuple[str, ...]] = {
    "generated": ("seeded",),
    "synthesis": ("seeded",),
    "sirst": ("idx_427", "idx_320", "nuaa", "pqgnet"),
    "sirst_v2": ("full", "v1", "targets"),
    "sirst_v2_field": ("field",),
    "sirst_aug": ("folders",),
    "irstd_1k": ("published",),
    "nudt_sirst": ("published",),
    "nudt_sirst_sea": ("published",),
    "sirst3": ("published",),
    "mfirst": ("folders", "dnanet"),
    "irdst_real": ("folders", "rdian"),
    "irdst_simulated": ("folders", "rdian", "scenes"),
    "irdst_sequences": ("published",),
    "nudt_mirsdt": ("dtum", "lmaformer"),
    "tsirmt": ("published",),
    "satvideoirsdt": ("folders",),
    "irdst_h": ("folders",),
    "daub_r": ("folders",),
    "itsdt_15k": ("folders",),
    "irstd_uav": ("folders",),
    "folder": ("given", "seeded"),
}
"""All but those of `MADE` are entries of `irstd.data.sources.SOURCES`."""

MADE = ("generated", "synthesis")
"""Sources that are made from the parameters; each has a group of its name under `data`."""
