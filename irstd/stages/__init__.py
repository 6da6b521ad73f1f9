"""One function per stage of dvc.yaml; here files are read and written."""
