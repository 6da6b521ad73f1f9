"""The published ways of counting, as data.

A convention names what is counted (how pixels are binarised, which rule pairs targets with
components) and how its figures are made of the counts. The arithmetic is elsewhere and exists once:
counts in `irstd.metrics.counts`, match rules in `irstd.metrics.rules`, figures in
`irstd.metrics.figures`. The conventions named after a code give what that code gives, its defects
(`DEFECTS`) included; where it raises an error they give NaN. `ispanet`, the default, and
`opdc_exact` have no known defect.
"""

from dataclasses import replace

from irstd.errors import ConfigError
from irstd.metrics.convention import Convention, Sweep, of_logits
from irstd.metrics.figures import Figure, Harmonic, Ratio, RocArea, Total

__all__ = ["CONVENTIONS", "ISPANET", "OPDC", "SMOOTH", "Convention", "find_convention"]

SMOOTH = 1e-3  # added to the denominators of published ROC curves


def _or_zero(numerator: str, denominator: str) -> Ratio:
    return Ratio(numerator, denominator, empty=0.0)


TOTALS: dict[str, Figure] = {
    "n_images": Total("images"),
    "n_targets": Total("targets"),
    "n_predicted": Total("predicted"),
}
PD = Ratio("matched", "targets")
PIXELS: dict[str, Figure] = {  # with the epsilon 2e-16 of NumPy's spacing(1): 0/0 is 0
    "iou": _or_zero("tp", "tp fp fn"),
    "recall": _or_zero("tp", "tp fn"),
}
PIXEL_NAMES = {"mIoU": "iou", "pixAcc": "recall"}
TARGET_NAMES = {"PD": "pd", "FA": "fa_pixel"}
NIOU_IMAGE = Ratio("image_iou", "images")
SMOOTH_F1 = Harmonic(
    Ratio("tp", "tp fn", epsilon=SMOOTH), Ratio("tp", "tp fp", epsilon=SMOOTH), epsilon=1e-5
)
FALSE_ALARMS: dict[str, Figure] = {"pd": PD, "fa_pixel": Ratio("unlike_pixels", "pixels")}
FALSE_ALARMS_OR_NAN: dict[str, Figure] = {
    "pd": PD,
    "fa_pixel": Ratio("unlike_pixels", "pixels", needs="targets"),
}
FALSE_PIXELS = Ratio("fp", "pixels")
GREY_ON_LOGITS = of_logits(25.5 * k for k in range(11))  # D7: k * 255 / 10, compared with logits

ISPANET = Convention(
    source="ISPANet, IEEE JSTARS 2024, section V-B, eqs. 1-5 and 24-27",
    figures={
        "iou": Ratio("tp", "tp fp fn"),
        "precision": Ratio("tp", "tp fp"),
        "recall": Ratio("tp", "tp fn"),
        "f1": Ratio("2*tp", "2*tp fp fn"),
        "niou_target": Ratio("overlap", "targets"),
        "niou_image": Ratio("image_iou", "nonempty_images"),
        "pd": PD,
        "md": Ratio("targets -matched", "targets"),
        "pa": Ratio("matched", "predicted"),
        "fa_target": Ratio("predicted -matched", "predicted"),
        "f1_target": Ratio("2*matched", "targets predicted"),
        "fa_pixel": Ratio("unmatched_pixels", "pixels"),
        "fa_pixel_all": FALSE_PIXELS,
        **TOTALS,
        "n_empty_images": Total("empty_images"),
        "false_on_empty": Total("false_on_empty"),
    },
    published_names={
        "IoU": "iou",
        "P": "precision",
        "R": "recall",
        "F1-P": "f1",
        "nIoU": "niou_target",
        "P_d": "pd",
        "M_d": "md",
        "P_a": "pa",
        "F_a": "fa_target",
        "F1-T": "f1_target",
    },
    rule="nearest",
    distance_px=2.0,
    distance_open=True,
)
BASICIRSTD = Convention(
    source="BasicIRSTD, metrics.py and test.py",
    figures={
        **PIXELS,
        "pd": PD,
        "fa_pixel": Ratio("unmatched_pixels", "pixels", needs="targets"),
        **TOTALS,
        "n_matched": Total("matched"),
        "n_unmatched_pixels": Total("unmatched_pixels"),
        "n_pixels": Total("pixels"),
    },
    published_names={
        **PIXEL_NAMES,
        **TARGET_NAMES,
        "counts.matched": "n_matched",
        "counts.targets": "n_targets",
        "counts.unmatched_pixels": "n_unmatched_pixels",
        "counts.all_pixels": "n_pixels",
    },
    defects=("D2", "D4", "D8", "D14"),
    rule="first_fit",
    distance_px=3.0,
)
DNANET = Convention(
    source="DNANet, model/metric.py",
    figures={**PIXELS, **FALSE_ALARMS, **TOTALS},
    published_names={**PIXEL_NAMES, **TARGET_NAMES},
    defects=("D1", "D2", "D3", "D5", "D7", "D14", "D20"),
    rule="first_fit",
    distance_px=3.0,
    sized=True,
    curve_steps=10,
    sweep=Sweep(GREY_ON_LOGITS, FALSE_ALARMS),
)
ISNET_FA = Ratio("unlike_pixels", f"{512 * 512}*images")
SCTRANSNET = Convention(
    source="SCTransNet, test.py",
    figures={
        **PIXELS,
        "niou_image": NIOU_IMAGE,
        "f1": SMOOTH_F1,
        **FALSE_ALARMS_OR_NAN,
        **TOTALS,
    },
    published_names={**PIXEL_NAMES, **TARGET_NAMES, "nIoU": "niou_image", "f1_score": "f1"},
    defects=("D1", "D2", "D4", "D8", "D9", "D14", "D16", "D19"),
    rule="first_fit",
    distance_px=3.0,
    curve_steps=10,
)
SGMP = Convention(
    source="SGMP, SigmoidMetric, SamplewiseSigmoidMetric, PD0_FA0",
    figures={
        "iou": Ratio("tp", "tp fp fn"),
        "recall": _or_zero("tp", "tp fn"),
        "niou_image": Ratio("image_iou images -nonempty_images", "images"),
        "pd": _or_zero("matched", "targets"),
        "fa_pixel": Ratio("unlike_pixels", "pixels"),
        **TOTALS,
    },
    published_names={
        "pixAcc": "recall",
        "iou": "niou_image",
        "niou": "iou",
        "pd0": "pd",
        "fa0": "fa_pixel",
    },
    defects=("D1", "D2", "D3", "D10", "D15"),
    rule="first_fit",
    distance_px=3.0,
    curve_steps=100,
    sweep=Sweep(
        tuple(k / 100 for k in range(101)),
        {"pd": _or_zero("matched", "targets"), "fa_pixel_all": FALSE_PIXELS},
    ),
)
ACM = Convention(
    source="ACM, metric/ (MXNet)",
    figures={**PIXELS, "niou_image": NIOU_IMAGE, **TOTALS},
    published_names={"pixAcc": "recall", "IoU": "iou", "nIoU": "niou_image"},
    defects=("D14", "D16"),
    curve_steps=10,
)
AGPCNET = Convention(
    source="AGPCNet, utils/metrics.py",
    figures={
        **PIXELS,
        "precision": _or_zero("tp", "tp fp"),
        "f1": _or_zero("2*tp", "2*tp fp fn"),
        "roc_auc": RocArea(SMOOTH),
        **TOTALS,
    },
    published_names={
        **PIXEL_NAMES,
        "mIoU_tpfnfp": "iou",
        "precision": "precision",
        "recall": "recall",
        "fscore": "f1",
        "auc200": "roc_auc",
    },
    defects=("D14",),
    curve_steps=200,
)
RDIAN = Convention(
    source="RDIAN, model/metrics.py",
    figures={
        **PIXELS,
        "niou_image": NIOU_IMAGE,
        "detected_share": Ratio("detected_images", "images"),
        "pd": PD,
        "fpr": Ratio("fp", "pixels -tp -fn", epsilon=SMOOTH),
        **TOTALS,
    },
    published_names={
        "pixAcc": "recall",
        "IoU": "iou",
        "nIoU": "niou_image",
        "DR": "detected_share",
    },
    defects=("D13", "D14", "D16", "D17"),
    rule="corner_window",
    curve_steps=10,
    sweep=Sweep(
        tuple(k / 10 for k in range(11)), {"pd": PD, "n_turned_hits": Total("turned_hits")}
    ),
)
MTUNET_TARGETS: dict[str, Figure] = {**FALSE_ALARMS, "niou_target": Ratio("pair_iou", "targets")}
MTUNET = Convention(
    source="MTU-Net, model/metric.py (thresholds of its curves are logits)",
    figures={**PIXELS, **MTUNET_TARGETS, **TOTALS},
    published_names={**PIXEL_NAMES, **TARGET_NAMES, "nIoU": "niou_target"},
    defects=("D1", "D5", "D14"),
    rule="half_diameter",
    curve_steps=10,
    curve_of_logits=True,
    sweep=Sweep(of_logits([0.0, 1.0]), MTUNET_TARGETS),
)
LPNET_PRECISION = Ratio("matched", "matched predicted -matched_components", needs="targets")
LPNET_RECALL = Ratio("matched", "noticed_targets")
LPNET_PIXELS = Ratio("tp", "tp fp"), Ratio("tp", "tp fn")
LPNET = Convention(
    source="LPNet, utils/eval.py, at one threshold",
    figures={
        "pd": Ratio("matched_components", "noticed_targets"),
        "fa_image": Ratio("predicted -matched_components", "images", needs="targets"),
        "precision_target": LPNET_PRECISION,
        "recall_target": LPNET_RECALL,
        "f1_target": Harmonic(LPNET_PRECISION, LPNET_RECALL),
        "precision": LPNET_PIXELS[0],
        "recall": LPNET_PIXELS[1],
        "f1": Harmonic(*LPNET_PIXELS),
        **TOTALS,
    },
    published_names={
        "target.Pd": "pd",
        "target.Fa": "fa_image",
        "target.Prec": "precision_target",
        "target.Rec": "recall_target",
        "target.F1": "f1_target",
        "pixel.Prec": "precision",
        "pixel.Rec": "recall",
        "pixel.F1": "f1",
    },
    defects=("D8", "D11", "D12"),
    rule="box_centres",
    distance_px=4.0,
    eight_bit=True,
    targets_only=True,
)
MDVSFA = Convention(
    source="MDvsFA, calculateF1Measure",
    figures={"f1_image": Ratio("image_f1", "images"), **TOTALS},
    published_names={"mean_F1": "f1_image"},
)


def _hierarchical(empty: float, phantoms: bool) -> dict[str, Figure]:
    """hIoU, its two parts and the error shares.

    Args:
        empty: value of 0/0.
        phantoms: an image without target counts one missed target, one without prediction one
            false component.
    """

    def share(numerator: str, denominator: str) -> Ratio:
        return Ratio(numerator, denominator, empty=empty)

    no_target, no_prediction = (" empty_images", " silent_images") if phantoms else ("", "")
    targets, predicted = f"targets{no_target}", f"predicted{no_prediction}"
    everything = f"{targets} {predicted} -matched"
    return {
        "pd": share("matched", targets),
        "fa_pixel": share("unmatched_pixels", "pixels"),
        "iou_loc": share("matched", everything),
        "iou_seg": share("pair_iou", "matched"),
        "hiou": share("pair_iou", everything),
        "error_loc_itf": share(f"lone_components{no_prediction}", everything),
        "error_loc_pcp": share(f"lone_targets{no_target}", everything),
        "error_loc_m2s": share("predicted -matched -lone_components", everything),
        "error_loc_s2m": share("targets -matched -lone_targets", everything),
        "error_seg_mrg": share("pair_merged", "matched"),
        "error_seg_itf": share("pair_false", "matched"),
        "error_seg_pcp": share("pair_missed", "matched"),
        **TOTALS,
        "n_matched": Total("matched"),
        "pair_iou_sum": Total("pair_iou"),
    }


OPDC = Convention(
    source="Rethinking Evaluation of Infrared Small Target Detection, NeurIPS 2025, by its toolkit "
    "PyIRSTDMetrics 1.0.2, OPDC matching with overlap 0.5",
    figures=_hierarchical(empty=0.0, phantoms=True),
    published_names={
        "Pd": "pd",
        "Fa": "fa_pixel",
        "hIoU": "hiou",
        "loc_iou": "iou_loc",
        "loc_itf_err": "error_loc_itf",
        "loc_pcp_err": "error_loc_pcp",
        "loc_m2s_err": "error_loc_m2s",
        "loc_s2m_err": "error_loc_s2m",
        "seg_iou": "iou_seg",
        "seg_mrg_err": "error_seg_mrg",
        "seg_itf_err": "error_seg_itf",
        "seg_pcp_err": "error_seg_pcp",
    },
    defects=("H1", "H2", "H3", "H4", "H8"),
    rule="opdc",
    distance_px=3.0,
)
OPDC_EXACT = replace(
    OPDC,
    source=f"{OPDC.source}, corrected: overlap first, then a maximum matching of pairs in range",
    figures=_hierarchical(empty=float("nan"), phantoms=False),
    defects=(),
    rule="opdc_exact",
)

CONVENTIONS: dict[str, Convention] = {
    "ispanet": ISPANET,
    "basicirstd": BASICIRSTD,
    "dnanet": DNANET,
    "mshnet": replace(DNANET, source="MSHNet, utils/metric.py"),
    "pqgnet": replace(
        DNANET,
        source="PQGNet, evaluation classes of the package PepperPepper 0.0.9.37",
        figures={
            **DNANET.figures,
            "precision": _or_zero("tp", "tp fp"),
            "f1": _or_zero("2*tp", "2*tp fp fn"),
            "niou_image": NIOU_IMAGE,
        },
        published_names={
            "mIoU": "iou",
            "precision": "precision",
            "recall": "recall",
            "fmeasure": "f1",
            "nIoU": "niou_image",
            **TARGET_NAMES,
        },
        defects=("D1", "D2", "D5", "D7", "D18"),
        curve_steps=None,
        sweep=Sweep(of_logits([0.0, 255.0]), FALSE_ALARMS),
    ),
    "panpeiwen": replace(
        DNANET,
        source="PANPEIWEN toolbox, utils/metric.py",
        figures={**DNANET.figures, "niou_image": NIOU_IMAGE, "f1": SMOOTH_F1},
        published_names={**SCTRANSNET.published_names},
        defects=("D1", "D2", "D3", "D5", "D7", "D14", "D16", "D19", "D20"),
    ),
    "isnet": replace(
        DNANET,
        source="ISNet, metric file as shipped in BasicIRSTD",
        figures={**DNANET.figures, "fa_pixel": ISNET_FA},
        defects=("D1", "D2", "D3", "D6", "D7", "D14", "D20"),
        sweep=Sweep(GREY_ON_LOGITS, {"pd": PD, "fa_pixel": ISNET_FA}),
    ),
    "sctransnet": SCTRANSNET,
    "mpcnet": replace(
        SCTRANSNET,
        source="MPCNet, metrics.py and test.py",
        figures={key: SCTRANSNET.figures[key] for key in SCTRANSNET.figures if "niou" not in key},
        published_names={
            name: key for name, key in SCTRANSNET.published_names.items() if name != "nIoU"
        },
        defects=("D1", "D2", "D4", "D8", "D14", "D19"),
        curve_epsilon=1e-5,
    ),
    "sgmp": SGMP,
    "lmaformer": replace(
        SGMP,
        source="LMAFormer, SigmoidMetric, SamplewiseSigmoidMetric, PD0_FA0",
        figures={**SGMP.figures, **FALSE_ALARMS_OR_NAN},
        defects=("D1", "D2", "D3", "D8", "D10"),
        sweep=None,
    ),
    "acm": ACM,
    "alcnet": replace(ACM, source="ALCNet, metric/ (MXNet)"),
    "agpcnet": AGPCNET,
    "rdian": RDIAN,
    "mtunet": MTUNET,
    "lpnet": LPNET,
    "mdvsfa": MDVSFA,
    "opdc": OPDC,
    "opdc_exact": OPDC_EXACT,
}


def find_convention(name: str) -> Convention:
    """Look a convention up.

    Raises:
        ConfigError: no convention has that name; the message lists those there are.
    """
    if name not in CONVENTIONS:
        raise ConfigError(
            f"unknown convention {name!r}; choose one of: {', '.join(sorted(CONVENTIONS))}"
        )
    return CONVENTIONS[name]
