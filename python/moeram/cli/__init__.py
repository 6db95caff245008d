"""The command `moeram`."""
