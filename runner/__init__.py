"""coopdeck's runner: it launches cooperbench jobs, records what happens and tells its clients."""

__version__ = "0.1.0"
