"""A model folder: everything that prediction needs, and nothing else is needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .dataset import Dataset, read_dataset
from .errors import UserError
from .jsonio import read_document, write_json
from .plan import Plan, read_plan


@dataclass(frozen=True)
class ModelConfig:
    """What the plan does not say about a trained student: preset, the channels it sees, seed, if it sees covariates."""

    preset: str
    channels: tuple[str, ...]
    seed: int
    covariates: bool = False
    schema_version: int = 1


@dataclass(frozen=True)
class ModelFolder:
    """``results/Dataset001_NAME/PLAN_NAME/PRESET_seed0`` or a copy of it anywhere."""

    path: Path

    @property
    def plan(self) -> Plan:
        """The plan it was trained by."""
        return read_plan(self.path / "plan.json")

    @property
    def dataset(self) -> Dataset:
        """Channels, classes and regions."""
        return read_dataset(self.path)

    @property
    def config(self) -> ModelConfig:
        """Preset, student channels and seed."""
        return read_document(ModelConfig, self.path / "model.json")

    def write_config(self, config: ModelConfig) -> None:
        """Write ``model.json``."""
        write_json(self.path / "model.json", config)

    def fold(self, fold: int) -> Path:
        """Folder of one fold."""
        return self.path / f"fold_{fold}"

    def student_weights(self, fold: int) -> Path:
        """Final EMA weights of the fold's student; there only when the fold is finished."""
        return self.fold(fold) / "student.safetensors"

    def localiser_weights(self, fold: int) -> Path:
        """Weights of the fold's localiser, where the plan has one."""
        return self.fold(fold) / "localiser.safetensors"

    def finished_folds(self) -> list[int]:
        """Folds with a finished student."""
        found = (p.parent.name.removeprefix("fold_") for p in self.path.glob("fold_*/student.safetensors"))
        return sorted(int(f) for f in found if f.isdigit())

    def choose_folds(self, wanted: list[int] | None) -> list[int]:
        """The wanted folds, or all finished ones.

        Raises:
            UserError: None is finished, or a wanted one is not.
        """
        finished = self.finished_folds()
        if not finished:
            raise UserError(f"{self.path}: no finished fold, expected fold_*/student.safetensors; train one first.")
        if missing := sorted(set(wanted or ()) - set(finished)):
            raise UserError(f"{self.path}: fold {missing[0]} is not finished, expected out of {finished}.")
        return sorted(set(wanted)) if wanted else finished


def model_name(preset: str, variant: str | None, seed: int) -> str:
    """Name of the model folder of a preset, and of what differs from it, such as ``in_sample`` teachers."""
    return f"{preset}{f'_{variant}' if variant else ''}_seed{seed}"


def newest_model(results: Path) -> ModelFolder:
    """The model folder below ``results`` whose student was finished last.

    Raises:
        UserError: There is none.
    """
    weights = sorted(Path(results).glob("**/fold_*/student.safetensors"), key=lambda p: p.stat().st_mtime)
    if not weights:
        raise UserError(f"{results}: no finished model found, expected PRESET_seed0/fold_0/student.safetensors.")
    return ModelFolder(weights[-1].parent.parent)
