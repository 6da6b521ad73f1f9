"""Construction of a data set as SHR-IRST was built (ISPANet, section III)."""
