"""How far the running trainings are: the new lines of their progress files."""

import msgspec

from sparseplan.common.json_struct import decode
from sparseplan.runs.job import Progress
from sparseplan.sweep.folder import Folder


class ProgressReader:
    """Follows progress files; a segment counts from when its latest attempt began."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._offsets: dict[str, int] = {}
        self.latest: dict[str, Progress] = {}

    def begin(self, segment_id: str) -> None:
        """Follow a segment from here on."""
        path = self._folder.progress(segment_id)
        self._offsets[segment_id] = path.stat().st_size if path.exists() else 0
        self.latest.pop(segment_id, None)

    def end(self, segment_id: str) -> None:
        """Follow a segment no more."""
        self._offsets.pop(segment_id, None)
        self.latest.pop(segment_id, None)

    def read(self) -> list[Progress]:
        """Read new lines; returns the notes among them."""
        notes: list[Progress] = []
        for segment_id, offset in self._offsets.items():
            path = self._folder.progress(segment_id)
            if not path.exists() or path.stat().st_size == offset:
                continue
            with path.open("rb") as file:
                file.seek(offset)
                text = file.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._offsets[segment_id] = offset + len(whole)
            for line in whole.splitlines():
                try:
                    progress: Progress = decode(line, Progress)
                except msgspec.DecodeError:  # a full disk can cut a line; the next one says more
                    continue
                if progress.event == "note":
                    notes.append(progress)
                else:
                    self.latest[segment_id] = progress
        return notes
