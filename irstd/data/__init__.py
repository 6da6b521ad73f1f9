"""Images, masks and their index."""
