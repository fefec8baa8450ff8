"""What a run records of its bundle: the network, in a form that needs nothing else of the training's config."""

from __future__ import annotations

import json
from pathlib import Path

from monai.bundle import ConfigParser, ConfigWorkflow

from common.collection.find import RECORD
from common.config import Config
from common.handlers.origin import plain, record_bundle

CONFIG = {
    "imports": ["$import math"],
    "classes": "$math.floor(4.5)",
    "dims": 3,
    "library": {"_target_": "builtins.dict"},
    "network": {"_target_": "builtins.dict", "_requires_": "@library", "dims": "@dims", "sizes": ["@classes", 16]},
    "network_def": {"_target_": "builtins.dict", "estimator": "@network", "made": "$math.nan.is_integer"},
}


def test_references_and_expressions_are_replaced_by_what_they_lead_to() -> None:
    parser = ConfigParser(CONFIG)
    parser.parse()
    expected = {"_target_": "builtins.dict", "_requires_": "@library", "dims": 3, "sizes": [4, 16]}
    found = plain(parser, "network_def")
    assert found == {"_target_": "builtins.dict", "estimator": expected, "made": "$math.nan.is_integer"}
    opened = Config(json.loads(json.dumps({**CONFIG, "dims": 2, "network_def": found}))).content("network_def")
    assert opened["estimator"] == {"dims": 3, "sizes": [4, 16]}


def test_a_run_of_a_bundle_records_it_with_its_overrides(tmp_path: Path) -> None:
    file, run = tmp_path / "toy" / "configs" / "train.json", tmp_path / "run"
    imports = ["$import math", "$from common.handlers.origin import record_bundle", "$from pathlib import Path"]
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({**CONFIG, "imports": imports, "run": ["$record_bundle(Path(@output_dir))"]}))
    settings = {"network#dims": 2, "output_dir": str(run)}
    workflow = ConfigWorkflow(str(file), workflow_type="train", logging_file=False, **settings)
    workflow.initialize()
    workflow.run()
    found = json.loads((run / RECORD).read_text("utf-8"))
    assert found["folder"] == str(tmp_path / "toy") and found["network_def"]["estimator"]["dims"] == 2


def test_where_no_bundle_is_run_nothing_is_recorded(tmp_path: Path) -> None:
    record_bundle(tmp_path)
    assert not [*tmp_path.iterdir()]
