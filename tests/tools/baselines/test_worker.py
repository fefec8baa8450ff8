from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

from common.errors import InputError
from tools.baselines.worker import Failed, Worker


def test_a_crash_or_a_hang_costs_one_pair(fragile, image) -> None:
    settings = import_module(f"{fragile.package}.fragile").Settings(shift=2.0)
    with Worker(f"{fragile.package}.fragile", settings, timeout=3) as worker:
        says = {"exit": "exit status 3", "segfault": "SIGSEGV", "hang": "past 3 s", "nan": "not finite"}
        for deed, reason in (says | {"raise": "RuntimeError: no such luck"}).items():
            with pytest.raises(Failed, match=reason):
                worker.register(image(deed), image("work"))
            found = worker.register(image("work"), image("work"))
            assert found.ddf.shape == (2, 12, 12) and (found.ddf == 2).all()
            assert 0 <= found.seconds < 3


def test_an_engine_without_its_package_is_one_line(fragile, image, tmp_path) -> None:
    module = tmp_path / fragile.package / "absent.py"
    module.write_text('PACKAGE = "rare"\ndef load():\n    import a_package_that_is_not_there\n')
    with Worker(f"{fragile.package}.absent", None, timeout=3) as worker, pytest.raises(InputError) as error:
        worker.register(image("work"), image("work"))
    assert "absent: rare" in str(error.value) and "install it as requirements-baselines.txt says" in str(error.value)


def test_an_engine_that_crashes_as_it_starts_ends_the_run(fragile, image, tmp_path) -> None:
    (tmp_path / fragile.package / "dead.py").write_text("import os\ndef load():\n    os._exit(7)\n")
    with Worker(f"{fragile.package}.dead", None, 3) as worker, pytest.raises(InputError, match="exit status 7"):
        worker.register(image("work"), image("work"))


def test_an_engine_runs_on_one_thread(fragile, tmp_path) -> None:
    text = "import os\nimport numpy as np\nload = list\ndef register(moving, fixed, settings):\n"
    text += "    keys = 'ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS', 'OMP_NUM_THREADS'\n"
    text += "    return np.full((2, 4, 4), sum(int(os.environ[key]) for key in keys), np.float32)\n"
    (tmp_path / fragile.package / "threads.py").write_text(text)
    with Worker(f"{fragile.package}.threads", None, timeout=30) as worker:
        assert (worker.register(np.zeros((4, 4)), np.zeros((4, 4))).ddf == 2).all()
