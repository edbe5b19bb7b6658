"""Where the files of a job stand."""

from dataclasses import dataclass
from pathlib import Path

from runner.model.rows import JobRow
from runner.model.settings import SETTINGS


@dataclass(frozen=True, slots=True)
class JobFiles:
    """The files of one try of a job."""

    attempt: Path | None = None
    """The try's own folder: output.log, probe.jsonl. None where nothing was run, or nothing yet."""
    results: Path | None = None
    """The folder with upstream's files: delivered ones, or those of the try itself."""
    ended: bool = False
    speed: float = 1.0
    """What times of the probe are multiplied with."""
    alone: bool = False
    silent: bool = False
    """The setting lets the agents send no messages."""
    says: str = ""
    """Why there is nothing at all."""

    @property
    def opened(self) -> bool:
        """They are upstream's files alone, of a run that we did not launch or whose attempts are not looked at."""
        return self.attempt is not None and self.attempt == self.results

    @property
    def key(self) -> tuple[Path | None, Path | None]:
        """The same for the same try, from its beginning to its end."""
        return (self.attempt, None if self.attempt else self.results)


def job_files(row: JobRow | None, number: int | None, sweep_dir: Path | None, speed: float) -> JobFiles:
    """The files of a job's try `number`, None for the newest."""
    if row is None:
        return JobFiles(says="no job selected")
    spec = row.spec
    setting = SETTINGS.get(spec.setting)
    mode = setting.mode if setting else spec.setting
    alone = mode == "solo"
    silent = setting is not None and "--no-messaging" in setting.flags
    delivered = _folder(row.delivered)
    if not row.attempts:
        if row.state == "skipped":
            says = "a result was there already: nothing was run"
            return JobFiles(None, delivered, True, 1.0, alone, silent, says)
        return JobFiles(alone=alone, silent=silent, says="not started yet")
    if sweep_dir is None:
        return JobFiles(alone=alone, silent=silent, says="the sweep's folder is not known yet")
    attempt = row.attempts[(number or len(row.attempts)) - 1]
    folder = sweep_dir / attempt.folder
    results = folder / "logs" / spec.run_name / mode / spec.pair.repo / str(spec.pair.task) / spec.pair.folder
    if delivered is not None and attempt is row.attempts[-1]:
        results = delivered
    return JobFiles(folder, results, attempt.ended_at is not None, speed, alone, silent)


def _folder(delivered: str | None) -> Path | None:
    if delivered is None:
        return None
    path = Path(delivered)
    return path.parent if path.name == "result.json" else path
