"""One file per raw format. Each has ``read(path, config) -> RawRecording``."""
