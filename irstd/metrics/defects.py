"""What published evaluation codes get wrong, each in one line that a report can print."""

DEFECTS: dict[str, str] = {
    "D1": "false alarms are found by area: every component as large as a matched one is left out",
    "D2": "a target takes the first component in range, not the nearest, and pairs can be lost",
    "D3": "a reset keeps the target count, so P_d falls with each use of one object (not repeated "
    "here)",
    "D4": "a reset raises AttributeError (not repeated here)",
    "D5": "one image size is written into the code; other sizes fail or are scrambled (not "
    "repeated here)",
    "D6": "false alarms are divided by 512 x 512 pixels per image, whatever the image's size",
    "D7": "thresholds of the P_d and F_a curves are grey values compared with logits; above the "
    "first, p > 0.5, hardly anything is predicted",
    "D8": "a data set without targets raises ZeroDivisionError (NaN here)",
    "D9": "the ROC class of the training script raises NameError (that of test.py is used here)",
    "D10": "the names IoU and nIoU are exchanged",
    "D11": "P_d counts components: a target hit by two of them counts twice, and P_d exceeds 1",
    "D12": "an image with targets and no prediction counts as one target; images without target "
    "count in the denominator of F_a and their false alarms nowhere",
    "D13": "a target counts as hit by two rows above and two columns left of its centroid, without "
    "the centroid itself",
    "D14": "grey mask values count as target for one figure and not for another (masks are binary "
    "here)",
    "D15": "the target curve counts all false pixels, the table only those of unmatched components",
    "D16": "the IoU of an image fails with NumPy 2.4 and later (not repeated here)",
    "D17": "a curve of hits (`n_turned_hits`) exchanges row and column and sees one target per "
    "image",
    "D18": "F_a of get_value and get_threshold uses the components of the last image (not given "
    "here: they depend on the order of the images)",
    "D19": "F1 is read at the sixth threshold, 0.5 only with ten steps, and nIoU of SCTransNet at "
    "0.5, whatever threshold is asked for (both follow the threshold here)",
    "D20": "a reset of the ROC assumes eleven thresholds (not repeated here)",
    "H1": "pairs are assigned by distance first, so a pair that overlaps by half can be lost",
    "H2": "components out of range take part in the assignment and can undo a pair in range",
    "H3": "an image without target counts one missed target, one without prediction one false "
    "component",
    "H4": "errors of interference and perception include pairs that overlap by less than half",
    "H8": "overlaps are added in floating point in the order of the images (exact sums here)",
}
"""Defects by name: D1 to D20 of single codes, H1 to H8 of the toolkit PyIRSTDMetrics."""
