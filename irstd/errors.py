"""Errors a user can cause; each message says what was expected, what came, where, what to do."""


class IrstdError(Exception):
    """Base of every error on bad input; the command line prints it without a traceback."""


class ConfigError(IrstdError):
    """`params.yaml` or a profile is not valid."""


class DataError(IrstdError):
    """An image, a mask, a split list or a prepared data set is missing or faulty."""


class ModelError(IrstdError):
    """A network, a weight file or an ONNX file cannot be built, read or verified."""


class TrackingError(IrstdError):
    """The experiment store or the model registry refused or could not be reached."""
