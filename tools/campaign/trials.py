"""The trials of a search: runs that Optuna proposes, in a study that several processes may share."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from common.data import prepared
from common.errors import InputError
from common.files import write_bytes

from .execution import devices, execute
from .launching import exclusive, make_folder
from .progress import write_table
from .runs import Run, score, state

Params = dict[str, Any]
UNUSABLE = (SQLAlchemyError, ImportError, ValueError, optuna.exceptions.StorageInternalError)


@dataclass
class Search:
    """One bundle's search: its trials as runs, and what is written of them."""

    bundle: str
    space: Params
    overrides: Params
    seed: int
    select: str
    dataset: prepared.Dataset
    output: Path
    failures: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The study's, another for whatever makes its trials incomparable."""
        about = [self.dataset.name, self.overrides, self.seed, self.select, self.space]
        return f"{self.bundle} {hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:12]}"

    def run(self, params: Params) -> Run:
        """The run of a trial."""
        return Run(self.bundle, self.overrides | rounded(params), self.seed)

    def value(self, params: Params) -> float:
        """Train and evaluate; return the Dice. Raise InputError, kept in ``failures``, if that fails."""
        run = self.run(params)
        try:
            execute(run, self.output, self.dataset.root, device=devices(1)[0])
            value = score(run, self.output, self.select)
            if value is None:
                raise InputError(f"{run.folder(self.output)}: no pair has a {self.select} Dice; see its metrics.csv.")
        except InputError as error:
            self.failures.append(str(error))
            raise
        finally:
            write_table(self.output)
        print(f"{run}: DSC {value:.2f} %", flush=True)
        return value

    def objective(self, trial: optuna.Trial) -> float:
        """What Optuna maximises."""
        return self.value({key: suggest(trial, key, values) for key, values in self.space.items()})

    def finish(self, study: optuna.Study) -> None:
        """Give a value to the trials that a stopped process or a failed training has left without one."""
        known = [trial.params for trial in study.get_trials(states=(TrialState.COMPLETE,))]
        for trial in study.get_trials(states=(TrialState.RUNNING, TrialState.FAIL)):
            is_whole = set(trial.params) == set(self.space)
            if not is_whole or trial.params in known or state(self.run(trial.params), self.output) == "running":
                continue
            known.append(trial.params)
            try:
                value = self.value(trial.params)
            except InputError:
                continue  # it is among the failures
            study.add_trial(optuna.create_trial(params=trial.params, distributions=trial.distributions, value=value))

    def save(self, study: optuna.Study, *_: object) -> None:
        """Write what is best so far to best.json, beside other bundles' best."""
        if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            return
        path = self.output / "best.json"
        with exclusive(path.with_name(".best.lock")):
            best = json.loads(path.read_text("utf-8")) if path.is_file() else {}
            best[self.bundle] = rounded(study.best_params)
            write_bytes(path, (json.dumps(best, indent=1) + "\n").encode())


def suggest(trial: optuna.Trial, key: str, values: Any) -> Any:
    """A trial's value of one setting, from its choices (a list) or its range (low, high and perhaps log)."""
    if isinstance(values, list):
        return trial.suggest_categorical(key, values)
    whole = isinstance(values["low"], int) and isinstance(values["high"], int)
    return (trial.suggest_int if whole else trial.suggest_float)(key, **values)


def rounded(params: Params) -> Params:
    """The parameters as they are trained: four digits are enough, and folders are named by them."""
    return {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in params.items()}


def open_study(search: Search, storage: str | None, sampler: BaseSampler) -> optuna.Study:
    """Create the study, or open it where it was begun; raise InputError for a storage that cannot be used."""
    make_folder(search.output)
    url = storage or f"sqlite:///{search.output.resolve() / 'search.db'}"
    try:
        with exclusive(search.output / ".search.lock"):  # two processes cannot create the same tables
            return optuna.create_study(
                storage=url, sampler=sampler, study_name=search.name, direction="maximize", load_if_exists=True
            )
    except UNUSABLE as error:
        raise InputError(f"--storage {url}: cannot be used: {str(error).splitlines()[0]}") from error


def optimize(search: Search, study: optuna.Study, trials: int | None) -> None:
    """Search until as many trials as asked for have a value, those of all processes together, or the grid has."""
    search.finish(study)
    complete = (TrialState.COMPLETE,)
    done = len(study.get_trials(deepcopy=False, states=complete))
    if not (study.sampler.is_exhausted(study) if trials is None else done >= trials):
        enough = [] if trials is None else [optuna.study.MaxTrialsCallback(trials, complete)]
        missing = None if trials is None else trials - done  # a trial that fails counts, or it might never end
        study.optimize(search.objective, missing, catch=(InputError,), callbacks=[search.save, *enough])
    search.save(study)
