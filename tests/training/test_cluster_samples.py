"""The samples for clusters: they parse, and start the command as it is."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from training import devices
from training.config import config_class

FOLDER = Path(__file__).resolve().parents[2] / "training" / "cluster"


def job_set_script():
    text = (FOLDER / "jobset.yaml").read_text()
    job = yaml.safe_load(text)["spec"]["replicatedJobs"][0]["template"]["spec"]
    assert job["completionMode"] == "Indexed" and job["completions"] == job["parallelism"] == 2
    return job["template"]["spec"]["containers"][0]["args"][0]


def run_with_fake_python(script, tmp_path, **environment):
    """What the script's `python` would get: TF_CONFIG and its arguments."""
    fake = tmp_path / "python"
    fake.write_text('#!/bin/bash\necho "$TF_CONFIG" | tr -d "\\n"; echo; printf "%s\\n" "$@"\n')
    fake.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", **environment}
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    cluster, *arguments = done.stdout.splitlines()
    return cluster, arguments


def check(cluster, arguments, index, monkeypatch):
    monkeypatch.setenv(devices.CLUSTER, cluster)
    assert devices.num_workers() == 2
    assert devices.is_chief() == (index == 0)
    assert json.loads(cluster)["task"]["index"] == index
    assert arguments[:2] == ["-m", "training.train"]
    fields = [name[2:].split(".") for name in arguments if name.startswith("--")]
    known = config_class("transformer").__dataclass_fields__
    assert all(name in known for name, *_ in fields if name not in ("config", "output"))


@pytest.mark.parametrize("index", [0, 1])
def test_the_job_set_starts_each_worker_with_its_place(index, tmp_path, monkeypatch):
    found = run_with_fake_python(job_set_script(), tmp_path, JOB_COMPLETION_INDEX=str(index))
    check(*found, index, monkeypatch)


@pytest.mark.parametrize("index", [0, 1])
def test_slurm_starts_each_worker_with_its_place(index, tmp_path, monkeypatch):
    for name, body in {
        "scontrol": 'printf "node1\\nnode2\\n"',
        "srun": f'shift; export SLURM_PROCID={index}; exec "$@"',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    script = (FOLDER / "slurm.sh").read_text()
    assert re.search("^#SBATCH --requeue$", script, re.MULTILINE)
    found = run_with_fake_python(script, tmp_path, SLURM_JOB_NODELIST="node[1-2]", SLURM_JOB_ID="7")
    check(*found, index, monkeypatch)
    assert shlex.join(found[1]).endswith("--fit.num_devices 1")
